"""TensorRT: engines for the GPU that builds them, on a workstation or a Jetson."""

from codi_export.backends.nvidia import backend

BACKEND = backend("tensorrt", module="tensorrt", package="codi-export[tensorrt]", timing_cache=True)
