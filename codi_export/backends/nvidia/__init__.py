"""TensorRT and TensorRT-RTX: one implementation over two modules that are nearly the same.

What a version lacks is asked of the module, so `trt` below is either of them, and Any: neither publishes types.
"""

from codi_export.backends.nvidia.backend import backend

__all__ = ["backend"]
