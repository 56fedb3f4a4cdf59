"""Lines that `tegrastats` printed on real modules, some of every JetPack generation (tests/data/README.md)."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from codi_export.profile.sensors import jetson
from tests.profile.simulated import put

RECORDED = Path(__file__).parents[2] / "data/tegrastats.txt"
LINES = dict(line.split(" ", 1) for line in RECORDED.read_text().splitlines())


@pytest.mark.parametrize(
    ("name", "clocks", "gpu_c", "watts", "rails", "mib"),
    [
        ("NANO_4", {"gpu": 76, "memory": 204, "cpu": 204}, 36, 1.022, ("POM_5V_IN",), 534),
        ("TX2_4", {"gpu": 624, "memory": 1600, "cpu": 345}, 35, 3.056, ("VDD_IN",), 2344),
        (
            "AGX_XAVIER_4",
            {"gpu": 318, "memory": 665, "cpu": 1190},
            37.5,
            3.346,
            ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
            721,
        ),
        ("ORIN_NX_5", {"gpu": 611, "memory": 2133, "cpu": 729}, 45.875, 5.299, ("VDD_IN",), 6334),
        (
            "AGX_ORIN_6",
            {"gpu": 305, "memory": 2133, "cpu": (4 * 729 + 8 * 2201) / 12},
            47.812,
            12.377,
            ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
            29114,
        ),
        ("ORIN_NANO_6", {"gpu": 612, "memory": 2133, "cpu": (1497 + 5 * 729) / 6}, 58.625, 16.321, ("VDD_IN",), 6712),
        ("NO_CLOCKS_6", {"cpu": 729}, 45.968, 5.263, ("VDD_IN",), 2639),
        (
            "AGX_ORIN_7",
            {"cpu": (8 * 729 + 4 * 1113) / 12},
            47.125,
            11.133,
            ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
            8179,
        ),
        ("THOR_7", {"gpu": 1574, "memory": 4266, "cpu": 2601}, 56.937, 124.486, ("VIN",), 8353),
        ("THOR_7_IDLE", {"gpu": 1574, "memory": 4266, "cpu": 2601}, 51.218, 28.906, ("VIN",), 3429),
    ],
)
def test_every_generation(
    name: str, clocks: dict[str, float], gpu_c: float, watts: float, rails: tuple[str, ...], mib: int
) -> None:
    found = jetson.parse(LINES[name])
    assert found.clocks_mhz == pytest.approx(clocks)
    assert found.temperatures_c["gpu"] == gpu_c and "pmic" not in found.temperatures_c
    assert jetson.total_rails(found.power_mw) == rails
    assert sum(found.power_mw[rail] for rail in rails) / 1000 == pytest.approx(watts)
    assert found.device_bytes == mib * 2**20


def test_a_rail_below_its_offset_is_reported_as_it_is() -> None:
    found = jetson.parse(LINES["THOR_7_NEGATIVE"])
    assert found.power_mw == {"VDD_GPU": -392, "VDD_CPU_SOC_MSS": 3924, "VIN_SYS_5V0": 5064, "VIN": 15004}
    assert (found.clocks_mhz, found.temperatures_c, found.device_bytes) == ({}, {}, None)


def test_a_zone_that_is_off_has_no_temperature() -> None:
    assert jetson.parse("CV0@-256C cpu@50C").temperatures_c == {"cpu": 50}


def test_what_a_line_does_not_say_is_not_reported() -> None:
    found = jetson.parse("nothing of use")
    assert not found.power_mw and found.device_bytes is None and found.throttling is None and found.energy_j is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64", "L4T 32.7.1"),
        ("# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64", "L4T 36.4.3"),
        ("# R39 (release), REVISION: 2.0", "L4T 39.2.0"),
        ("Debian", None),
    ],
)
def test_release(text: str, name: str | None) -> None:
    assert jetson.l4t(text) == name


@pytest.mark.parametrize(
    ("said", "mode"), [("NV Power Mode: MAXN\n0\n", "MAXN"), ("NV Power Mode: 15W\n2\n", "15W"), ("", None)]
)
def test_power_mode(said: str, mode: str | None) -> None:
    assert jetson.power_mode(said) == mode


def test_rails_of_the_old_driver(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    put(tmp_path, {f"{folder}/rail_name_0": "POM_5V_IN\n", f"{folder}/in_power0_input": "2532\n"})
    put(tmp_path, {f"{folder}/rail_name_1": "POM_5V_GPU\n"})  # its power cannot be read
    assert jetson.ina_rails(tmp_path) == {"POM_5V_IN": 2532}


def test_rails_of_the_new_driver(tmp_path: Path) -> None:
    folder = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    put(tmp_path, {f"{folder}/in1_label": "VDD_IN", f"{folder}/in1_input": "5000", f"{folder}/curr1_input": "1062"})
    put(tmp_path, {f"{folder}/in2_label": "VDD_SOC", f"{folder}/in2_input": "5000"})
    assert jetson.ina_rails(tmp_path) == {"VDD_IN": 5310}


JTOP = {
    "gpu": {"ga10b": {"type": "integrated", "status": {"load": 12.0}, "freq": {"cur": 612000, "max": 1020000}}},
    "cpu": {"cpu": [{"online": True, "freq": {"cur": 1497600}}, {"online": False}]},
    "temperature": {"gpu": {"temp": 48.5, "online": True}, "cv0": {"temp": -256, "online": False}},
    "power": {"rail": {"VDD_SOC": {"power": 1424, "avg": 1424}}, "tot": {"power": 5299, "avg": 5301}},
    "memory": {"RAM": {"tot": 7800000, "used": 3000000}},
}


def test_jetson_stats() -> None:
    found = jetson.from_jtop(SimpleNamespace(ok=lambda: True, **JTOP))
    assert found.clocks_mhz == {"gpu": 612, "cpu": 1497.6} and found.temperatures_c == {"gpu": 48.5}
    assert found.power_mw == {"VDD_SOC": 1424, "total": 5299} and jetson.total_rails(found.power_mw) == ("total",)
    assert found.device_bytes == 3_000_000 * 1024


def test_a_service_that_has_gone_is_a_lost_sensor() -> None:
    with pytest.raises(OSError, match="jtop"):
        jetson.from_jtop(SimpleNamespace(ok=lambda: False))


def printing(text: str, then: str) -> jetson.Lines:
    code = f"import sys; print({text!r}, flush=True); {then}"
    return jetson.Lines(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True))


def test_a_jetson_is_found_and_read(tmp_path: Path) -> None:
    put(tmp_path, {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3", "proc/device-tree/model": "A module\0"})
    put(tmp_path, {"sys/class/devfreq/17000000.gpu/max_freq": "1020000000\n"})
    (sensor,) = jetson.find(tmp_path, lambda: printing(LINES["ORIN_NANO_6"], "sys.stdin.read()"))
    assert (sensor.name, sensor.facts.name, sensor.facts.driver) == ("tegrastats", "A module", "L4T 36.4.3")
    assert sensor.facts.max_clocks_mhz == {"gpu": 1020} and sensor.read().power_mw["VDD_IN"] == 16321
    sensor.close()
    with pytest.raises(OSError, match="ended"):
        sensor.read()


def test_another_machine_has_none(tmp_path: Path) -> None:
    assert jetson.find(tmp_path) == []
