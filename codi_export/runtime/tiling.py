"""Cut a large image into tiles that overlap, and blend what comes back.

Weights and sums are whole numbers, so the order of the tiles does not matter and equal values blend to themselves.
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def pad(image: Pixels, height: int, width: int, align: int = 1) -> Pixels:
    """Grow [H, W, 3] at the bottom and right to at least `height` x `width` and to multiples of `align`.

    New pixels mirror the image, or repeat its edge where it is too small to be mirrored.
    """
    for axis, least in ((0, height), (1, width)):
        size = image.shape[axis]
        extra = max(least, -(-size // align) * align) - size
        widths = [(0, extra if a == axis else 0) for a in range(3)]
        image = np.pad(image, widths, mode="reflect" if extra < size else "edge")
    return image


def corners(height: int, width: int, tile: tuple[int, int], overlap: int, align: int = 1) -> list[tuple[int, int]]:
    """Top left corners (y, x), multiples of `align`, of tiles that cover an image as `pad` returns it.

    Neighbours share at least `overlap` pixels, or as many as a step of one `align` leaves.
    """
    rows = _starts(height, tile[0], overlap, align)
    columns = _starts(width, tile[1], overlap, align)
    return [(y, x) for y in rows for x in columns]


def _starts(length: int, tile: int, overlap: int, align: int) -> list[int]:
    last = length - tile
    stride = max((tile - overlap) // align, 1) * align
    return sorted({*range(0, last, stride), last})


class Canvas:
    """The weighted mean of tiles [h, w, 3] added at their places; weights rise linearly over `overlap` pixels."""

    def __init__(self, height: int, width: int, overlap: int) -> None:
        self._sum = np.zeros((height, width, 3), np.uint32)
        self._weight = np.zeros((height, width, 1), np.uint32)
        self._overlap = overlap

    def add(self, y: int, x: int, tile: Pixels) -> None:
        """Lay `tile` with its top left corner at (y, x)."""
        h, w = tile.shape[:2]
        weight = np.outer(_ramp(h, self._overlap), _ramp(w, self._overlap))[..., None]  # [h, w, 1]
        self._sum[y : y + h, x : x + w] += weight * tile
        self._weight[y : y + h, x : x + w] += weight

    def pixels(self) -> Pixels:
        """The blend, rounded to the nearest level, as uint8 [H, W, 3]. Every pixel must have been covered."""
        return ((self._sum + self._weight // 2) // self._weight).astype(np.uint8)


def _ramp(length: int, overlap: int) -> NDArray[np.uint32]:
    """1, 2, ... up to overlap + 1, flat, and down again."""
    i = np.arange(length)
    return np.minimum(np.minimum(i, i[::-1]), overlap).astype(np.uint32) + np.uint32(1)
