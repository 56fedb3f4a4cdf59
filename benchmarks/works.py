"""The questions that `kernels.py` measures: what is computed, and by whom. One function a kind of work."""

import functools
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from codi_export.graph.passes.merge_upsampling import SUMS
from codi_export.ops import geglu, group_norm_silu, image_io, noise, sampler_step
from codi_export.runtime.noise import normal

Call = Callable[[], Any]
Arms = dict[str, Call]
New = Callable[..., Tensor]
F = torch.nn.functional
NORMS = ((512, 128), (64, 320), (32, 640), (16, 1280), (8, 1280), (64, 512), (256, 256))  # side, channels
# Side and channels of what is enlarged and convolved: the U-Net's, a KL-VAE decoder's, a tiny decoder's.
UPSAMPLINGS = ((8, 1280), (16, 1280), (32, 640), (64, 512), (128, 512), (256, 256), (64, 64), (128, 64), (256, 64))


@dataclass(frozen=True)
class Work:
    """One question: the arms answer alike, but for those in `other`, and none moves fewer than `least_bytes`.

    `make` gives fresh tensors. Two answers may be `roundings` of the largest value apart.
    """

    name: str
    least_bytes: int
    make: Callable[[], Arms]
    other: tuple[str, ...] = ()
    products: int = 0  # multiplications and additions
    roundings: int = 8


def works(device: str, dtype: torch.dtype, shrink: int = 1) -> list[Work]:
    """Of the kernels, on "cpu" or "cuda"; a picture's sides are divided by `shrink`."""
    new = partial(torch.randn, device=device, dtype=dtype)
    return [
        *(norm_work(max(4, side // shrink), channels, new) for side, channels in NORMS),
        geglu_work(4096 // shrink, new),
        step_work(new),
        noise_work(new),
        *image_works(512 // shrink, device, dtype),
    ]


def upsamplings(device: str, dtype: torch.dtype, shrink: int = 1) -> list[Work]:
    """Whether the graph's rewrite of decision 40 pays, layer by layer."""
    new = partial(torch.randn, device=device, dtype=dtype)
    return [upsampling_work(max(4, side // shrink), channels // shrink, new) for side, channels in UPSAMPLINGS]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.compile, not before the first call: it takes seconds to begin with."""
    made = functools.cache(lambda: torch.compile(function))
    return lambda *given: made()(*given)


def twin(op: str, arm: Callable[[Any], Call]) -> Arms:
    """The arm of an op's twin, where there is Triton."""
    if importlib.util.find_spec("triton") is None:
        return {}
    return {"triton": arm(importlib.import_module(f"benchmarks.twins.{op}"))}


def norm_work(side: int, channels: int, new: New) -> Work:
    """GroupNorm and SiLU of one picture: read once and written once at the least, read twice by two launches."""
    fused = compiled(_norm)

    def make() -> Arms:
        x, weight, bias = new(1, channels, side, side), new(channels), new(channels)
        last = x.contiguous(memory_format=torch.channels_last)
        pixels = last.permute(0, 2, 3, 1), weight, bias, 32
        return {
            "torch": partial(_norm, x, weight, bias),
            "torch channels_last": partial(_norm, last, weight, bias),
            "torch.compile channels_last": partial(fused, last, weight, bias),
            **twin("group_norm_silu", lambda op: lambda: op.group_norm_silu(*pixels).permute(0, 3, 1, 2)),
            "codi": lambda: group_norm_silu.group_norm_silu(*pixels).permute(0, 3, 1, 2),
        }

    least = 2 * channels * side * side * new(1).element_size()
    return Work(f"group_norm_silu {channels} at {side}x{side}", least, make)


def _norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.silu(F.group_norm(x, 32, weight, bias))


def geglu_work(rows: int, new: New) -> Work:
    """GEGLU of the U-Net's first level."""
    fused = compiled(geglu.reference)

    def make() -> Arms:
        x = new(rows, 2560)
        return {
            "torch": partial(geglu.reference, x),
            "torch.compile": partial(fused, x),
            **twin("geglu", lambda op: partial(op.geglu, x)),
            "codi": partial(geglu.geglu, x),
        }

    return Work(f"geglu [{rows}, 2560]", 3 * 1280 * rows * new(1).element_size(), make)


def step_work(new: New) -> Work:
    """PREv of a 512 pixel latent, from v."""
    constants = ("v_prediction", 0.6, 0.8, 0.8, 0.0, 0.6)
    plain: Callable[..., Any] = sampler_step.reference
    fused = compiled(plain)

    def make() -> Arms:
        given: list[Any] = [new(1, 4, 64, 64) for _ in range(3)]
        return {
            "torch": partial(plain, *given, *constants),
            "torch.compile": partial(fused, *given, *constants),
            **twin("sampler_step", lambda op: partial(op.sampler_step, *given, *constants)),
            "codi": partial(sampler_step.sampler_step, *given, *constants),
        }

    return Work("sampler_step [1, 4, 64, 64]", 5 * 4 * 64 * 64 * new(1).element_size(), make)


def noise_work(new: New) -> Work:
    """Noise of a 512 pixel latent: numpy's and Triton's are the bits of ours, torch's are others."""

    def make() -> Arms:
        z = new(1, 4, 64, 64)
        arms: Arms = {"torch.randn": partial(torch.randn_like, z)}
        if z.device.type == "cpu":
            arms["numpy"] = partial(normal, 0, (1, 4, 64, 64))
        return arms | twin("noise", lambda op: partial(op.noise_like, z, 0)) | {"codi": partial(noise.noise_like, z, 0)}

    return Work("noise [1, 4, 64, 64]", 4 * 64 * 64 * new(1).element_size(), make, ("torch.randn",), roundings=0)


def image_works(side: int, device: str, dtype: torch.dtype) -> list[Work]:
    """Pictures in, as they are and enlarged four times, and out."""
    size, element, small = 3 * side * side, torch.empty(0, dtype=dtype).element_size(), side // 4

    def make_in(given: int) -> Arms:
        image = torch.randint(0, 256, (1, given, given, 3), dtype=torch.uint8, device=device)
        arguments = (image, side, side, 2.0, -1.0, dtype)
        arms: Arms = {"torch": partial(torch_in, image, side, dtype)}
        if device == "cpu":
            arms["numpy and Pillow"] = partial(numpy_in, image.numpy(), side)
        arms |= twin("image_io", lambda op: partial(op.image_to_tensor, *arguments))
        return arms | {"codi": partial(image_io.image_to_tensor, *arguments)}

    def make_out() -> Arms:
        tensor = torch.randn(1, 3, side, side, device=device, dtype=dtype)
        arms: Arms = {"torch": partial(torch_out, tensor)}
        if device == "cpu":
            arms["numpy"] = partial(numpy_out, tensor.numpy())
        arms |= twin("image_io", lambda op: partial(op.tensor_to_image, tensor))
        return arms | {"codi": partial(image_io.tensor_to_image, tensor)}

    enlarged = f"image_to_tensor {small}x{small} to {side}x{side}"
    others = ("torch", "numpy and Pillow")  # another cubic, and one that rounds to uint8
    return [
        Work(f"image_to_tensor {side}x{side}", size * (1 + element), partial(make_in, side)),
        Work(enlarged, size * element + size // 16, partial(make_in, small), others, roundings=64),
        Work(f"tensor_to_image {side}x{side}", size * (1 + element), make_out),
    ]


def torch_in(image: Tensor, side: int, dtype: torch.dtype) -> Tensor:
    """Normalised to [-1, 1]; `interpolate` is bicubic with a = -0.75, so its picture differs a little."""
    large = image.permute(0, 3, 1, 2).to(dtype) / 255 * 2 - 1
    return large if image.shape[1] == side else F.interpolate(large, (side, side), mode="bicubic")


def numpy_in(image: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    """What an application would write; Pillow rounds to uint8."""
    if image.shape[1] != side:
        image = np.asarray(Image.fromarray(image[0]).resize((side, side), Image.Resampling.BICUBIC))[None]
    return np.ascontiguousarray(image.astype(np.float32).transpose(0, 3, 1, 2)) / 255 * 2 - 1


def torch_out(tensor: Tensor) -> Tensor:
    """The formula of `model.fuse.Decode`."""
    levels = ((tensor.clamp(-1, 1) + 1) * 127.5 + 0.5).floor().clamp(0, 255)
    return levels.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def numpy_out(tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same in numpy."""
    levels = np.floor((tensor.clip(-1, 1) + 1) * np.float32(127.5) + np.float32(0.5))
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1)).astype(np.uint8)


def upsampling_work(side: int, channels: int, new: New) -> Work:
    """Enlarging by two and convolving, and the transposed convolution that a build makes of it (decision 40)."""

    def make() -> Arms:
        x, weight = new(1, channels, side, side), new(channels, channels, 3, 3) / (3 * channels**0.5)
        sums = torch.as_tensor(SUMS, device=x.device).double()
        merged = torch.einsum("pk,oikl,ql->iopq", sums, weight.double(), sums).to(x.dtype)
        x, weight, merged = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight, merged))
        return {
            "torch": lambda: F.conv2d(F.interpolate(x, scale_factor=2.0), weight, padding=1),
            "transposed": partial(F.conv_transpose2d, x, merged, stride=2, padding=1),
        }

    elements = 5 * channels * side * side + 9 * channels**2
    products = 2 * 16 * channels**2 * side * side  # of the transposed one; the other has 9/4 of them
    name = f"upsample and convolve {channels} at {side}x{side}"
    return Work(name, elements * new(1).element_size(), make, products=products)
