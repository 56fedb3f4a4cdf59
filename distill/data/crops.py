"""Random crops: several scales, all eight orientations."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from codi_export.errors import CodiError, ErrorCode

from ..config import DataConfig
from .pictures import Picture, Pixels, draw


def extent(data: DataConfig, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """(side in pixels, crops) of the next batch: `size` crops of the first side, fewer of the larger ones."""
    side = data.crops[rng.choice(len(data.crops), p=data.shares)]
    return side, max(1, size * data.crops[0] ** 2 // side**2)


def choose(
    photos: Sequence[Picture], scenes: Sequence[Picture], photo_share: float, rng: np.random.Generator
) -> Picture:
    """A photo with probability `photo_share`, else a scene; decoded. Raises CodiError (bad-data) if there is none."""
    kind, pool = ("photos", photos) if rng.random() < photo_share else ("scenes", scenes)
    if not pool:
        raise CodiError(
            ErrorCode.BAD_DATA,
            f"[data] photo_share = {photo_share} asks for {kind}, and there are none to train on",
            f"name some as [data] {kind}, hold fewer of them out (held_out_{kind}), or change photo_share",
        )
    return draw(pool, int(rng.integers(len(pool))))


def crop(
    views: Sequence[Pixels], size: int, rng: np.random.Generator, scale: tuple[float, float] = (0.5, 1.0)
) -> list[Pixels]:
    """The same `size` x `size` crop of all views of a scene, scaled down by a factor from `scale`; enlarged only if the
    picture is too small.

    The photos are lossy files: scaling down before the crop takes their block artefacts out.
    """
    height, width = views[0].shape[:2]
    side = min(round(size / rng.uniform(*scale)), height, width)
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    windows = [Image.fromarray(view[top : top + side, left : left + side]) for view in views]
    return [np.asarray(w if side == size else w.resize((size, size), Image.Resampling.BICUBIC)) for w in windows]


def turn(views: Sequence[Pixels], rng: np.random.Generator, quarter_turns: bool = True) -> list[Pixels]:
    """One of the eight orientations of a square (of the two mirror images without `quarter_turns`), for all views."""
    quarters = int(rng.integers(4)) if quarter_turns else 0
    mirror = -1 if rng.random() < 0.5 else 1
    return [np.ascontiguousarray(np.rot90(view, quarters)[:, ::mirror]) for view in views]
