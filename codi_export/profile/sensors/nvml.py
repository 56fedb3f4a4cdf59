"""NVIDIA desktop and server GPUs through NVML (package nvidia-ml-py, import name pynvml)."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from codi_export.profile.result import Reading
from codi_export.profile.sensors import Facts, Sensor

T = TypeVar("T")

# nvmlClocksEventReasons of nvml.h. Idle and the clock that an application asked for are no throttling.
REASONS = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "software thermal",
    0x040: "hardware thermal",
    0x080: "hardware power brake",
}


def find(index: int = 0, library: Any = None) -> list[Sensor]:
    """The GPU with this NVML index; none without the package, the driver or the GPU."""
    library = library or _pynvml()
    if library is None:
        return []
    try:
        library.nvmlInit()
        handle = library.nvmlDeviceGetHandleByIndex(index)
    except library.NVMLError:
        return []
    gpu = _Gpu(library, handle)
    return [Sensor("nvml", gpu.facts(), gpu.read, gpu.close)]


def _pynvml() -> Any:
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    return pynvml


class _Gpu:
    def __init__(self, library: Any, handle: Any) -> None:
        self._nvml, self._handle = library, handle
        self._energy_mj = self._ask(library.nvmlDeviceGetTotalEnergyConsumption)

    def facts(self) -> Facts:
        nvml, limit = self._nvml, self._ask(self._nvml.nvmlDeviceGetEnforcedPowerLimit)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        driver = _word(nvml.nvmlSystemGetDriverVersion())
        return Facts(
            name=_word(self._ask(nvml.nvmlDeviceGetName)),
            kind="nvidia",
            driver=driver,
            power_mode=None if limit is None else f"{limit / 1000:g} W limit",
            device_memory_bytes=None if memory is None else int(memory.total),
            max_clocks_mhz=self._clocks(nvml.nvmlDeviceGetMaxClockInfo),
        )

    def read(self) -> Reading:
        """Raises OSError when the GPU or its driver is gone: not even its clocks can be read."""
        nvml = self._nvml
        try:
            nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except nvml.NVMLError as error:
            if error.value != nvml.NVML_ERROR_NOT_SUPPORTED:
                raise OSError(f"NVML: {error}") from error
        degrees = self._ask(lambda h: nvml.nvmlDeviceGetTemperature(h, nvml.NVML_TEMPERATURE_GPU))
        power, energy = self._ask(nvml.nvmlDeviceGetPowerUsage), self._ask(nvml.nvmlDeviceGetTotalEnergyConsumption)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo)
        bits = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons)
        return Reading(
            0.0,
            clocks_mhz=self._clocks(nvml.nvmlDeviceGetClockInfo),
            temperatures_c={} if degrees is None else {"gpu": float(degrees)},
            power_mw={} if power is None else {"gpu board": float(power)},
            energy_j=None if energy is None or self._energy_mj is None else (energy - self._energy_mj) / 1000,
            device_bytes=None if memory is None else int(memory.used),
            throttling=None if bits is None else tuple(word for bit, word in REASONS.items() if bits & bit),
        )

    def close(self) -> None:
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _clocks(self, question: Callable[[Any, int], float]) -> dict[str, float]:
        kinds = {"gpu": self._nvml.NVML_CLOCK_SM, "memory": self._nvml.NVML_CLOCK_MEM}
        found = {name: self._ask(partial(_swapped, question, kind)) for name, kind in kinds.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    def _ask(self, question: Callable[[Any], T]) -> T | None:
        """None for what this GPU does not report."""
        try:
            return question(self._handle)
        except self._nvml.NVMLError:
            return None


def _swapped(question: Callable[[Any, int], float], kind: int, handle: Any) -> float:
    return question(handle, kind)


def _word(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value
