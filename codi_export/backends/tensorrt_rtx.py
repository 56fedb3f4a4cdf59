"""TensorRT-RTX: engines for GeForce and RTX cards; it builds them ahead of time, without a GPU."""

from codi_export.backends.nvidia import backend

BACKEND = backend("tensorrt-rtx", module="tensorrt_rtx", package="codi-export[tensorrt-rtx]", timing_cache=False)
