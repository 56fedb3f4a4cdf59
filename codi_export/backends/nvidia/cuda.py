"""The few calls of the CUDA runtime that an engine needs, through NVIDIA's own bindings."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export.backends import Device
from codi_export.errors import CodiError, ErrorCode


def call(name: str, *arguments: Any) -> Any:
    """`cudaName(*arguments)`: its value, a tuple if there are several. Raises CodiError (backend, missing-package)."""
    runtime = _cudart()
    error, *values = getattr(runtime, name)(*arguments)
    if int(error):
        _, text = runtime.cudaGetErrorString(error)
        text = text.decode() if isinstance(text, bytes) else text
        raise CodiError(ErrorCode.BACKEND, f"{name}: {text}", "codi-export doctor says what is here")
    return values[0] if len(values) == 1 else tuple(values)


def available() -> bool:
    """Whether there is a GPU that CUDA can use. Raises CodiError (missing-package)."""
    try:
        return bool(call("cudaGetDeviceCount"))
    except RuntimeError:  # the bindings raise that where there is no driver
        return False
    except CodiError as error:
        if error.code is ErrorCode.MISSING_PACKAGE:
            raise
        return False


def device() -> Device:
    """The first GPU. Raises CodiError (backend) where there is none."""
    if not available():
        raise CodiError(ErrorCode.BACKEND, "no NVIDIA GPU that CUDA can use", "codi-export doctor says what is here")
    facts = call("cudaGetDeviceProperties", 0)
    name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
    driver = call("cudaDriverGetVersion")
    supported = f"CUDA {driver // 1000}.{driver % 1000 // 10}"
    return Device(name.rstrip("\0"), facts.major * 10 + facts.minor, supported, int(facts.totalGlobalMem))


class Buffer:
    """Memory of the GPU for one tensor; freed with the object."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.bytes = max(int(np.prod(shape)), 1) * self.dtype.itemsize
        self.address = int(call("cudaMalloc", self.bytes))

    def write(self, array: NDArray[Any], stream: Any) -> None:
        """Copy `array` there, in order with the stream's other work; it must live until that is done."""
        kind = _cudart().cudaMemcpyKind.cudaMemcpyHostToDevice
        call("cudaMemcpyAsync", self.address, array.ctypes.data, self.bytes, kind, stream)

    def read(self, array: NDArray[Any], stream: Any) -> None:
        """Copy it to `array`, which is whole when the stream has been waited for."""
        kind = _cudart().cudaMemcpyKind.cudaMemcpyDeviceToHost
        call("cudaMemcpyAsync", array.ctypes.data, self.address, self.bytes, kind, stream)

    def __del__(self) -> None:
        if address := getattr(self, "address", 0):
            _cudart().cudaFree(address)


def _cudart() -> Any:
    try:
        import cuda.bindings.runtime as cudart
    except ModuleNotFoundError as error:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE, "NVIDIA's CUDA bindings are not installed", "pip install cuda-bindings"
        ) from error
    return cudart
