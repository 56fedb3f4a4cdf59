"""Random crops: several scales, all eight orientations."""

import numpy as np
from PIL import Image

from ..config import DataConfig
from .pictures import Picture, Pixels


def extent(data: DataConfig, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """(side in pixels, crops) of the next batch: `size` crops of the first side, fewer of the larger ones."""
    side = data.crops[rng.choice(len(data.crops), p=data.shares)]
    return side, max(1, size * data.crops[0] ** 2 // side**2)


def choose(photos: list[Picture], scenes: list[Picture], photo_share: float, rng: np.random.Generator) -> Picture:
    """A photo with probability `photo_share`, else a scene."""
    pool = photos if rng.random() < photo_share else scenes
    return pool[rng.integers(len(pool))]


def crop(pixels: Pixels, size: int, rng: np.random.Generator, scale: tuple[float, float] = (0.5, 1.0)) -> Pixels:
    """A `size` x `size` crop of the picture scaled down by a factor from `scale`; enlarged only if it is too small.

    The photos are lossy files: scaling down before the crop takes their block artefacts out.
    """
    height, width = pixels.shape[:2]
    side = min(round(size / rng.uniform(*scale)), height, width)
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    window = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(window if side == size else window.resize((size, size), Image.Resampling.BICUBIC))


def turn(pixels: Pixels, rng: np.random.Generator, quarter_turns: bool = True) -> Pixels:
    """One of the eight orientations of a square (of the two mirror images without `quarter_turns`)."""
    if quarter_turns:
        pixels = np.rot90(pixels, int(rng.integers(4)))
    return np.ascontiguousarray(pixels[:, ::-1] if rng.random() < 0.5 else pixels)
