"""Cut a large image into tiles that overlap, and blend what comes back. `cpp/src/tiling.cpp` gives the same numbers.

A tile's outermost pixels, which saw no neighbours, count for nothing beside another tile; then weights rise linearly.
Weights and sums are whole numbers, so the order of the tiles does not matter and equal values blend to themselves.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codi_export.runtime.image import Pixels

OVERLAP = 16  # input pixels that neighbouring tiles share; at most a quarter of a tile


@dataclass(frozen=True, slots=True)
class Axis:
    """Where tiles of `tile` pixels start along one axis, and what each of a tile's `tile * scale` output pixels weighs:
    `weights` uint32 [tiles, tile * scale], `total` their sum at each output pixel."""

    tile: int
    scale: int
    starts: tuple[int, ...]
    weights: NDArray[np.uint32]
    total: NDArray[np.uint32]


def pad(image: Pixels, height: int, width: int, align: int = 1) -> Pixels:
    """Grow [H, W, 3] at the bottom and right to at least `height` x `width` and to multiples of `align`.

    New pixels mirror the image, or repeat its edge where it is too small to be mirrored.
    """
    for axis, least in ((0, height), (1, width)):
        size = image.shape[axis]
        extra = _padded(size, least, align) - size
        if extra:
            widths = [(0, extra if a == axis else 0) for a in range(3)]
            image = np.pad(image, widths, mode="reflect" if extra < size else "edge")
    return image


def plan(length: int, tile: int, align: int = 1, scale: int = 1) -> Axis:
    """Tiles at multiples of `align` that cover `length` pixels, padded as `pad` does it, each enlarged by `scale`.

    Neighbours share OVERLAP pixels or more, or as many as a step of one `align` leaves.
    """
    padded, overlap = _padded(length, tile, align), min(OVERLAP, tile // 4)
    last, stride = padded - tile, max((tile - overlap) // align, 1) * align
    starts = sorted({*range(0, last, stride), last})
    least = min((a + tile - b for a, b in itertools.pairwise(starts)), default=overlap)
    weights = _weights(len(starts), tile * scale, max(min(overlap, least), 0) * scale)
    total = np.zeros(padded * scale, np.uint32)
    for start, weight in zip(starts, weights, strict=True):
        total[start * scale : (start + tile) * scale] += weight
    return Axis(tile, scale, tuple(starts), weights, total)


def _padded(size: int, least: int, align: int) -> int:
    return max(least, -(-size // align) * align)


def _weights(count: int, size: int, shared: int) -> NDArray[np.uint32]:
    """Flat at the picture's ends; where a neighbour is, a quarter of what both share is left to it."""
    margin = shared // 4
    top = max(shared - 2 * margin, 1)
    rise = np.clip(np.arange(size) - margin + 1, 0, top).astype(np.uint32)
    flat = np.full(size, top, np.uint32)
    before = [flat, *[rise] * (count - 1)]
    after = [*[rise[::-1]] * (count - 1), flat]
    return np.minimum(before, after)


class Canvas:
    """The weighted mean of tiles, added one row of tiles after the other. It sums no more than one such row."""

    def __init__(self, rows: Axis, columns: Axis, height: int, width: int) -> None:
        self._rows, self._columns = rows, columns
        self._sum = np.zeros((rows.tile * rows.scale, len(columns.total), 3), np.uint32)
        self._out = np.empty((height, width, 3), np.uint8)
        self._top = 0  # the output row that the first of `_sum` is

    def add(self, row: int, column: int, tile: Pixels) -> None:
        """Lay output `tile` [h, w, 3] at its place among the tiles."""
        self._finish(self._rows.starts[row] * self._rows.scale)
        left = self._columns.starts[column] * self._columns.scale
        weight = np.outer(self._rows.weights[row], self._columns.weights[column])[..., None]  # [h, w, 1]
        self._sum[:, left : left + tile.shape[1]] += weight * tile

    def pixels(self) -> Pixels:
        """The blend, rounded to the nearest level, as uint8 [H, W, 3], when every tile was added."""
        self._finish(self._top + len(self._sum))
        return self._out

    def _finish(self, top: int) -> None:
        """No further tile reaches above the row `top`."""
        done, rest = top - self._top, len(self._sum) - (top - self._top)
        out = self._out[self._top : top]
        sums = self._sum[: len(out), : out.shape[1]]
        weight = np.multiply.outer(self._rows.total[self._top : top][: len(out)], self._columns.total[: out.shape[1]])
        out[...] = (sums + weight[..., None] // 2) // weight[..., None]
        self._sum[:rest] = self._sum[done:]
        self._sum[rest:] = 0
        self._top = top
