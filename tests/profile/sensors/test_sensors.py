"""Several sensors as one device."""

from pathlib import Path

from codi_export.profile.result import Reading
from codi_export.profile.sensors import Facts, Sensor, describe, merged


def test_of_two_that_report_the_same_the_first_counts() -> None:
    a = Reading(0, {"gpu": 1000}, {"gpu": 50}, {}, None, None, 7, ("power cap",))
    b = Reading(0, {"gpu": 900, "cpu": 2000}, {}, {"VDD_IN": 5}, 1.5, 100, 8, ())
    whole = merged([a, b], 3.0)
    assert whole == Reading(3.0, {"gpu": 1000, "cpu": 2000}, {"gpu": 50}, {"VDD_IN": 5}, 1.5, 100, 7, ("power cap",))
    assert merged([], 1.0) == Reading(1.0)


def test_the_accelerator_gives_the_name_and_what_nobody_reports_is_listed(tmp_path: Path) -> None:
    gpu = Sensor(
        "nvml", Facts("A GPU", "nvidia", power_mode="70 W limit", max_clocks_mhz={"gpu": 2}), lambda: Reading(0)
    )
    linux = Sensor("linux", Facts(governor="performance", max_clocks_mhz={"cpu": 3, "gpu": 1}), lambda: Reading(0))
    device = describe([gpu, linux], Reading(0, {"cpu": 3}, energy_j=0.0), tmp_path)
    assert (device.name, device.kind, device.governor, device.power_mode) == (
        "A GPU", "nvidia", "performance", "70 W limit",
    )  # fmt: skip
    assert device.max_clocks_mhz == {"gpu": 2, "cpu": 3} and device.sensors == ("nvml", "linux")
    assert device.not_reported == ("temperature", "throttling") and device.memory_bytes is None


def test_memory_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:       24000 kB\nMemFree: 1 kB\n")
    assert describe([], Reading(0), tmp_path).memory_bytes == 24_576_000
