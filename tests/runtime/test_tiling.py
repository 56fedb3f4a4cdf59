"""Tiles cover, blending is exact for equal values and does not depend on order, and a tile's margin does not count."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codi_export.runtime import tiling

sizes = st.integers(1, 70)
aligns = st.sampled_from([1, 2, 4])
tiles = st.integers(4, 40)


def picture(height: int, width: int, seed: int = 0) -> tiling.Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(length=sizes, tile=tiles, align=aligns, scale=st.integers(1, 4))
def test_tiles_cover_every_pixel_at_aligned_places(length: int, tile: int, align: int, scale: int) -> None:
    axis = tiling.plan(length, tile, align, scale)
    padded = tiling.pad(picture(length, 1), tile, 1, align).shape[0]
    assert axis.starts[0] == 0
    assert axis.starts[-1] + tile == padded
    assert all(start % align == 0 for start in axis.starts[:-1])
    assert len(axis.total) == padded * scale
    assert (axis.total[: length * scale] > 0).all()


@given(length=st.integers(1, 500), tile=st.integers(32, 80))
def test_neighbours_share_the_overlap_and_leave_each_other_a_margin(length: int, tile: int) -> None:
    axis, overlap = tiling.plan(length, tile), min(tiling.OVERLAP, tile // 4)
    assert all(first + tile - second >= overlap for first, second in pairwise(axis.starts))
    margin = overlap // 4
    for index, weights in enumerate(axis.weights):
        assert weights[:margin].any() == (index == 0)
        assert weights[-margin:].any() == (index == len(axis.starts) - 1)


@given(height=sizes, width=sizes, tile=tiles, seed=st.integers(0, 99))
def test_tiles_cut_from_a_picture_blend_back_to_it(height: int, width: int, tile: int, seed: int) -> None:
    original = picture(height, width, seed)
    padded = tiling.pad(original, tile, tile)
    rows, columns = tiling.plan(height, tile), tiling.plan(width, tile)
    canvas = tiling.Canvas(rows, columns, height, width)
    for row, y in enumerate(rows.starts):
        for column in np.random.default_rng(seed).permutation(len(columns.starts)):  # along a row in any order
            x = columns.starts[column]
            canvas.add(row, int(column), padded[y : y + tile, x : x + tile])
    np.testing.assert_array_equal(canvas.pixels(), original)


def test_the_blend_of_different_tiles_is_a_straight_line_between_their_margins() -> None:
    one, two = tiling.plan(1, 1), tiling.plan(56, 32)
    assert two.starts == (0, 24)  # eight shared pixels: two of margin, four of slope, two of margin
    canvas = tiling.Canvas(one, two, 1, 56)
    canvas.add(0, 0, np.full((1, 32, 3), 0, np.uint8))
    canvas.add(0, 1, np.full((1, 32, 3), 250, np.uint8))
    assert canvas.pixels()[0, 24:32, 0].tolist() == [0, 0, 50, 100, 150, 200, 250, 250]


def test_a_large_picture_is_summed_by_the_row_of_tiles() -> None:
    rows, columns = tiling.plan(4000, 64, 1, 1), tiling.plan(64, 64, 1, 1)
    canvas = tiling.Canvas(rows, columns, 4000, 64)
    assert canvas._sum.shape == (64, 64, 3)


def test_padding_mirrors_the_picture() -> None:
    row = np.arange(4, dtype=np.uint8).reshape(1, 4, 1).repeat(3, axis=2)
    assert tiling.pad(row, 1, 6)[0, :, 0].tolist() == [0, 1, 2, 3, 2, 1]


def test_padding_repeats_the_edge_where_the_picture_is_too_small_to_mirror() -> None:
    row = np.arange(2, dtype=np.uint8).reshape(1, 2, 1).repeat(3, axis=2)
    padded = tiling.pad(row, 3, 5)
    assert padded.shape == (3, 5, 3)
    assert padded[2, :, 0].tolist() == [0, 1, 1, 1, 1]


def test_a_picture_that_fits_is_not_padded() -> None:
    original = picture(16, 20)
    np.testing.assert_array_equal(tiling.pad(original, 16, 16, 4), original)
