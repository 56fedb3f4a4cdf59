"""A file system that looks like Linux's."""

from pathlib import Path

import pytest

from codi_export.profile.sensors import cpu
from tests.profile.simulated import put

CPU = "sys/devices/system/cpu"


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    (sensor,) = cpu.find(tmp_path)
    found = sensor.read()
    assert (found.clocks_mhz, found.temperatures_c, found.power_mw) == ({}, {}, {})
    assert (found.energy_j, found.rss_bytes, found.throttling) == (None, None, None)
    assert sensor.facts.governor is None and sensor.facts.max_clocks_mhz == {}


def test_frequency_and_governor(tmp_path: Path) -> None:
    put(tmp_path, {f"{CPU}/cpu{k}/cpufreq/scaling_cur_freq": f"{2_000_000 + k * 200_000}\n" for k in range(3)})
    put(tmp_path, {f"{CPU}/cpu0/cpufreq/scaling_governor": "schedutil\n"})
    put(tmp_path, {f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "3600000\n"})
    (sensor,) = cpu.find(tmp_path)
    assert sensor.read().clocks_mhz == {"cpu": 2200}
    assert (sensor.facts.governor, sensor.facts.max_clocks_mhz) == ("schedutil", {"cpu": 3600})


def test_frequency_without_cpufreq(tmp_path: Path) -> None:
    put(tmp_path, {"proc/cpuinfo": "processor : 0\ncpu MHz\t\t: 2600.0\nprocessor : 1\ncpu MHz\t\t: 2800.0\n"})
    assert cpu.clock_mhz(tmp_path) == 2700


def test_temperatures_by_zone(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone"
    put(tmp_path, {f"{zone}0/type": "x86_pkg_temp\n", f"{zone}0/temp": "54000\n"})
    put(tmp_path, {f"{zone}1/type": "gpu-thermal\n", f"{zone}1/temp": "47500\n", f"{zone}2/type": "off\n"})
    assert cpu.temperatures(tmp_path) == {"x86_pkg_temp": 54, "gpu": 47.5}


def test_energy_is_that_of_all_packages_and_wraps_around(tmp_path: Path) -> None:
    packages = [f"sys/class/powercap/intel-rapl:{k}" for k in range(2)]
    put(tmp_path, {f"{name}/max_energy_range_uj": "10000000" for name in packages})
    put(tmp_path, {f"{packages[0]}/energy_uj": "1000000", f"{packages[1]}/energy_uj": "9500000"})
    put(tmp_path, {"sys/class/powercap/intel-rapl:0:0/energy_uj": "77"})  # a part of package 0
    (sensor,) = cpu.find(tmp_path)
    assert sensor.read().energy_j == 0
    put(tmp_path, {f"{packages[0]}/energy_uj": "3000000", f"{packages[1]}/energy_uj": "500000"})
    assert sensor.read().energy_j == pytest.approx(2 + 1)


def test_an_energy_counter_that_may_not_be_read_is_not_reported(tmp_path: Path) -> None:
    put(tmp_path, {"sys/class/powercap/intel-rapl:0/max_energy_range_uj": "10"})
    assert cpu.find(tmp_path)[0].read().energy_j is None


def test_throttling_is_a_counter_that_moved(tmp_path: Path) -> None:
    file = f"{CPU}/cpu0/thermal_throttle/core_throttle_count"
    put(tmp_path, {file: "3\n"})
    (sensor,) = cpu.find(tmp_path)
    assert sensor.read().throttling == ()
    put(tmp_path, {file: "4\n"})
    assert sensor.read().throttling == ("cpu thermal",)
    assert sensor.read().throttling == ()


def test_memory_is_that_of_this_process(tmp_path: Path) -> None:
    put(tmp_path, {"proc/self/statm": "5000 1200 300 1 0 900 0\n"})
    assert cpu.resident_bytes(tmp_path) == 1200 * cpu.PAGE
    here = cpu.resident_bytes(Path("/"))
    assert here is not None and here > 10**6
