"""Noise as a torch op. It has no ONNX function: all randomness enters a graph as an input."""

import torch
from torch import Tensor

from codi_export.ops.arguments import REAL, call, describe
from codi_export.ops.records import Noise


@torch.library.custom_op("codi::noise_like", mutates_args=())
def noise_like(z: Tensor, seed: int, image_index: int = 0, y: int = 0, x: int = 0) -> Tensor:
    """Standard normal noise of the shape [B, C, h, w], type (float32 or float16) and device of z.

    The bits of `codi_export.runtime.noise.normal(seed, z.shape, (y, x), image_index)`. A seed of 2^63 or more is
    given as seed - 2^64. Raises ValueError.
    """
    out = _empty(z)
    sizes = dict(zip(("batch", "channels", "height", "width"), z.shape, strict=True))
    place = {"image": image_index, "y": y, "x": x}
    call(Noise(seed=seed & (2**64 - 1), **place, **sizes, type=REAL[z.dtype], out=out.data_ptr()), z.device)
    return out


@noise_like.register_fake
def _(z: Tensor, seed: int, image_index: int = 0, y: int = 0, x: int = 0) -> Tensor:
    return _empty(z)


def _empty(z: Tensor) -> Tensor:
    if z.dtype not in REAL or z.dim() != 4:
        raise ValueError(f"noise_like: z is {describe(z)}: expected float32 or float16 [B, C, h, w]")
    return z.new_empty(z.shape)
