"""NVML as its documentation describes it, without a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest

from codi_export.profile.sensors import nvml


class Error(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(f"code {value}")
        self.value = value


NOT_SUPPORTED, GONE = 3, 15


class Library(SimpleNamespace):
    """Every question in `fails` raises that error."""

    NVMLError, NVML_ERROR_NOT_SUPPORTED, NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = Error, 3, 1, 2, 0

    def __init__(self, **fails: int) -> None:
        super().__init__()
        self.fails = fails
        self.energy, self.bits = 1_000_000, 0
        self.open = 0

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlSystemGetDriverVersion": lambda: "595.78",
            "nvmlDeviceGetName": lambda h: b"NVIDIA GeForce RTX 4090",
            "nvmlDeviceGetEnforcedPowerLimit": lambda h: 450_000,
            "nvmlDeviceGetMemoryInfo": lambda h: SimpleNamespace(total=24 * 2**30, used=3 * 2**30),
            "nvmlDeviceGetMaxClockInfo": lambda h, kind: {1: 3105, 2: 10501}[kind],
            "nvmlDeviceGetClockInfo": lambda h, kind: {1: 2520, 2: 10251}[kind],
            "nvmlDeviceGetTemperature": lambda h, kind: 61,
            "nvmlDeviceGetPowerUsage": lambda h: 320_500,
            "nvmlDeviceGetTotalEnergyConsumption": lambda h: self.energy,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda h: self.bits,
        }
        if name not in answers:
            raise AttributeError(name)

        def ask(*arguments: Any) -> Any:
            if name in self.fails:
                raise Error(self.fails[name])
            return answers[name](*arguments)

        return ask


def test_what_a_gpu_reports() -> None:
    library = Library()
    (sensor,) = nvml.find(0, library)
    facts = sensor.facts
    assert (facts.name, facts.kind, facts.driver) == ("NVIDIA GeForce RTX 4090", "nvidia", "595.78")
    assert facts.power_mode == "450 W limit" and facts.device_memory_bytes == 24 * 2**30
    assert facts.max_clocks_mhz == {"gpu": 3105, "memory": 10501}
    library.energy, library.bits = 1_002_500, 0x001 | 0x004 | 0x040  # idle is no throttling
    found = sensor.read()
    assert found.clocks_mhz == {"gpu": 2520, "memory": 10251} and found.temperatures_c == {"gpu": 61}
    assert found.power_mw == {"gpu board": 320_500} and found.energy_j == 2.5
    assert found.device_bytes == 3 * 2**30 and found.throttling == ("power cap", "hardware thermal")


def test_what_it_does_not_report_is_none() -> None:
    names = ("Temperature", "PowerUsage", "TotalEnergyConsumption", "CurrentClocksThrottleReasons", "MemoryInfo")
    library = Library(**{f"nvmlDeviceGet{name}": NOT_SUPPORTED for name in names})
    found = nvml.find(0, library)[0].read()
    assert (found.temperatures_c, found.power_mw) == ({}, {})
    assert (found.energy_j, found.device_bytes, found.throttling) == (None, None, None)


def test_a_gpu_that_falls_off_the_bus_is_a_lost_sensor() -> None:
    library = Library()
    (sensor,) = nvml.find(0, library)
    library.fails["nvmlDeviceGetMemoryInfo"] = GONE
    with pytest.raises(OSError, match="code 15"):
        sensor.read()


def test_without_driver_or_gpu_there_is_none() -> None:
    assert nvml.find(0, Library(nvmlInit=9)) == []
    assert nvml.find(0, Library(nvmlDeviceGetHandleByIndex=2)) == []
