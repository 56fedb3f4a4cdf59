"""The machines that are planned for: every file is a consistent record."""

import pytest

from codi_export import registry
from codi_export.planner import BYTES
from codi_export.targets import TargetSpec, choose, reason

NAMES = registry.names("targets")
WANTED = {
    "a100", "cpu", "h100", "h200", "jetson-agx-orin-32gb", "jetson-agx-orin-64gb", "jetson-agx-thor",
    "jetson-orin-nano-4gb", "jetson-orin-nano-8gb", "jetson-orin-nx-16gb", "jetson-orin-nx-8gb", "l4", "rtx-3060",
    "rtx-4060", "rtx-4090", "rtx-5090",
}  # fmt: skip


def test_all_are_there() -> None:
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize("name", NAMES)
def test_a_target_is_consistent(name: str) -> None:
    target: TargetSpec = registry.get("targets", name)
    assert target.name == name
    assert {"rates", "memory", "bandwidth"} <= set(", ".join(target.sources).replace("clocks, ", "").split(", "))
    assert set(target.rates) - {"tf32"} <= set(BYTES)
    assert not set(target.emulated) & set(target.rates)
    rates = [target.rates[kind] for kind in ("fp32", "tf32", "fp16", "int8") if kind in target.rates]
    assert rates == sorted(rates), "fewer bits are never slower"
    assert all(0 < mode.speed <= 1 and 0 < mode.bandwidth <= target.bandwidth for mode in target.modes)
    assert not target.modes or target.modes[-1].speed == 1, "the last mode is the fastest"


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("jetson")])
def test_a_jetson_shares_its_memory_and_names_its_tensorrt(name: str) -> None:
    target: TargetSpec = registry.get("targets", name)
    assert target.tensorrt and target.modes
    assert target.usable_bytes < 0.98 * target.memory_bytes


def test_hardware_facts() -> None:
    """Orin has no fp8; Ada and later have; sparse int8 of Orin Nano Super is 67 TOPS, twice the dense."""
    with_fp8 = {name for name in NAMES if "fp8" in registry.get("targets", name).rates}
    assert with_fp8 == {"jetson-agx-thor", "rtx-4060", "rtx-4090", "rtx-5090", "l4", "h100", "h200"}
    assert 2 * registry.get("targets", "jetson-orin-nano-8gb").rates["int8"] == pytest.approx(67e12, rel=0.01)


@pytest.mark.parametrize(("name", "precision"), [("cpu", "fp32"), ("jetson-orin-nano-8gb", "fp16"), ("h200", "fp16")])
def test_auto_is_what_the_target_is_fastest_in(name: str, precision: str) -> None:
    target: TargetSpec = registry.get("targets", name)
    assert choose("auto", target) == precision and choose("bf16", target) == "bf16"
    assert reason(precision, target).startswith(f"{precision}, because {target.device}")
