"""What is said of the machine."""

import json
import os
import platform
from pathlib import Path

import pytest

from codi_export import machine


def test_conditions_are_json_and_name_what_is_installed() -> None:
    said = json.loads(json.dumps(machine.conditions()))
    assert said["packages"]["numpy"] == machine.version("numpy")
    assert said["cores"] >= 1 and said["python"] == platform.python_version()


def test_a_package_that_is_absent_has_no_version() -> None:
    assert machine.version("no-such-package-of-ours") is None


def test_the_processor_is_what_linux_calls_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    assert machine.processor(cpuinfo) == platform.machine(), "there is no such file on other systems"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast One\nprocessor\t: 1\nmodel name\t: Fast One\n")
    assert machine.processor(cpuinfo) == "Fast One"


def test_what_others_do_is_what_the_machine_does_without_us(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    assert machine.others_at_work(stat=stat) is None, "other systems do not tell"
    ticks = os.sysconf("SC_CLK_TCK")

    def write(user: float) -> None:
        stat.write_text(f"cpu  {user * ticks:.0f} 0 100 9000 50 0 0 0 0 0\ncpu0 1 2 3\n")

    write(100)
    assert machine.others_at_work(10, stat, lambda seconds: write(100 + 1.5 * seconds)) == pytest.approx(1.5, abs=0.05)
    assert machine.others_at_work(10, stat, lambda _: None) == 0


def test_the_peak_stays_when_memory_is_given_back() -> None:
    before = machine.peak_bytes()
    held = bytearray(b"x" * (256 << 20))
    del held
    assert machine.peak_bytes() >= max(before, 256 << 20)
