"""What is said of the machine."""

import json
import platform
from pathlib import Path

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
