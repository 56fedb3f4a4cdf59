"""Low-resolution photos as the world makes them: Real-ESRGAN's second-order degradation (arXiv 2107.10833).

Blur, resize, noise, JPEG; then the same again, weaker; a final resize to the wanted size.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from codi_export.runtime.image import resize_bicubic

from .pictures import Pixels

RESAMPLING = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


@dataclass(frozen=True, slots=True)
class Round:
    """Ranges of one round: probability of a blur, its standard deviation in pixels, the resize factor, the noise's
    standard deviation in levels, the JPEG quality."""

    blur_probability: float
    blur: tuple[float, float]
    resize: tuple[float, float]
    noise: tuple[float, float]
    jpeg: tuple[int, int]


FIRST = Round(blur_probability=1.0, blur=(0.2, 3.0), resize=(0.15, 1.5), noise=(1, 30), jpeg=(30, 95))
SECOND = Round(blur_probability=0.8, blur=(0.2, 1.5), resize=(0.3, 1.2), noise=(1, 25), jpeg=(30, 95))


def bicubic(image: Pixels, scale: int = 4) -> Pixels:
    """The clean low-resolution version: Pillow's antialiased bicubic. [H, W, 3] -> [H / scale, W / scale, 3]."""
    height, width = image.shape[:2]
    return resize_bicubic(image, height // scale, width // scale)


def degrade(image: Pixels, rng: np.random.Generator, scale: int = 4) -> Pixels:
    """A degraded low-resolution version, [H, W, 3] -> [H / scale, W / scale, 3], uint8."""
    height, width = image.shape[:2]
    small = (width // scale, height // scale)
    worn = image
    for ranges, reference in ((FIRST, (width, height)), (SECOND, small)):
        worn = _blur(worn, ranges, rng)
        factor = rng.uniform(*ranges.resize)
        size = (max(8, round(reference[0] * factor)), max(8, round(reference[1] * factor)))
        worn = _noise(_resize(worn, size, rng), ranges, rng)
        if ranges is SECOND:
            worn = _resize(worn, small, rng)
        worn = _jpeg(worn, ranges, rng)
    return worn


def _blur(image: Pixels, ranges: Round, rng: np.random.Generator) -> Pixels:
    """A rotated, possibly elongated Gaussian."""
    if rng.random() >= ranges.blur_probability:
        return image
    along, across = rng.uniform(*ranges.blur, size=2)
    angle = rng.uniform(0, np.pi)
    radius = max(1, int(np.ceil(2.5 * max(along, across))))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    weight = torch.from_numpy(kernel / kernel.sum()).float()[None, None].expand(3, 1, -1, -1)
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float()
    padded = F.pad(pixels, (radius,) * 4, mode="replicate")
    return _levels(F.conv2d(padded, weight, groups=3)[0].permute(1, 2, 0).numpy())


def _resize(image: Pixels, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    return np.asarray(Image.fromarray(image).resize(size, RESAMPLING[rng.integers(len(RESAMPLING))]))


def _noise(image: Pixels, ranges: Round, rng: np.random.Generator) -> Pixels:
    """Gaussian, or like photon noise (stronger where it is brighter); grey in two of five cases."""
    strength = rng.uniform(*ranges.noise)
    shape = (*image.shape[:2], 1 if rng.random() < 0.4 else 3)
    noise = rng.standard_normal(shape, dtype=np.float32) * strength
    if rng.random() < 0.5:
        noise = noise * np.sqrt(image.mean(axis=2, keepdims=True) / 255)
    return _levels(image + noise)


def _jpeg(image: Pixels, ranges: Round, rng: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=int(rng.integers(*ranges.jpeg)))
    with Image.open(buffer) as coded:
        return np.asarray(coded.convert("RGB"))


def _levels(values: npt.NDArray[np.floating]) -> Pixels:
    levels: Pixels = np.rint(values).clip(0, 255).astype(np.uint8)
    return levels
