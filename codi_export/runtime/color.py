"""Give an enlarged picture the colours of the photo that it was made from. `cpp/src/color.cpp` gives the same numbers.

Wavelet and AdaIN colour correction as StableSR describes them (Wang et al., arXiv 2305.07015, section 3.3), in sums of
whole numbers.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.image import Pixels, resize_bicubic

ColorFix = Literal["none", "wavelet", "adain"]
FIXES = ("none", "wavelet", "adain")

BOX = 32  # five levels of [1 2 1] / 4, spread by 1, 2, 4, 8, 16: the product of (1 + z^(2^i))^2 is a box of 32 twice
REACH = BOX - 1
BAND = 256  # rows at a time

Exact = NDArray[np.int64]


def fix(kind: ColorFix, picture: Pixels, photo: Pixels) -> Pixels:
    """`picture` uint8 [H', W', 3] with the colours of `photo` [H, W, 3]. Raises CodiError (bad-option)."""
    if kind not in FIXES:
        raise CodiError(ErrorCode.BAD_OPTION, f"unknown colour fix '{kind}'", f"known: {', '.join(FIXES)}")
    if kind == "none":
        return picture
    return wavelet(picture, photo) if kind == "wavelet" else adain(picture, photo)


def wavelet(picture: Pixels, photo: Pixels) -> Pixels:
    """The low frequencies of `picture` replaced by those of the photo, enlarged bicubically. Beyond an edge, the
    difference at the edge goes on."""
    height, width = picture.shape[:2]
    large, fixed = resize_bicubic(photo, height, width), np.empty_like(picture)
    for top in range(0, height, BAND):
        end = min(top + BAND, height)
        rows = np.clip(np.arange(top - REACH, end + REACH), 0, height - 1)
        difference = large[rows].astype(np.int64) - picture[rows]
        low = _blur(_blur(difference, axis=0), axis=1, pad=REACH)
        half = BOX**4 // 2
        fixed[top:end] = np.clip(picture[top:end] + (low + half) // BOX**4, 0, 255)
    return fixed


def _blur(values: Exact, axis: int, pad: int = 0) -> Exact:
    """Sums over BOX neighbours, twice. `values`, with its edges repeated `pad` times first, loses 2 REACH."""
    values = np.pad(values, [(pad, pad) if a == axis else (0, 0) for a in range(3)], mode="edge")
    for _ in range(2):
        sums = np.insert(np.cumsum(values, axis), 0, 0, axis)
        values = np.take(sums, range(BOX, sums.shape[axis]), axis) - np.take(sums, range(sums.shape[axis] - BOX), axis)
    return values


def adain(picture: Pixels, photo: Pixels) -> Pixels:
    """Each channel's mean and standard deviation moved to the photo's."""
    fixed = np.empty_like(picture)
    for c in range(3):
        (mean, deviation), (wanted, spread) = _statistics(picture[..., c]), _statistics(photo[..., c])
        ratio = spread / deviation if deviation > 0 else 1.0
        levels = np.floor((np.arange(256) - mean) * ratio + wanted + 0.5)
        fixed[..., c] = np.clip(levels, 0, 255).astype(np.uint8)[picture[..., c]]
    return fixed


def _statistics(channel: Pixels) -> tuple[float, float]:
    """Mean and standard deviation from exact sums."""
    counts = [int(count) for count in np.bincount(channel.ravel(), minlength=256)]
    n = sum(counts)
    total = sum(level * count for level, count in enumerate(counts))
    squares = sum(level * level * count for level, count in enumerate(counts))
    return total / n, float(np.sqrt(float(n * squares - total * total))) / n
