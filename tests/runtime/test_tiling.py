"""Tiles cover, blending is exact for equal values and does not depend on order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codi_export.runtime import tiling

sizes = st.integers(1, 70)
aligns = st.sampled_from([1, 2, 4])
overlaps = st.integers(0, 8)


def picture(height: int, width: int, seed: int = 0) -> tiling.Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(height=sizes, width=sizes, align=aligns, overlap=overlaps)
def test_tiles_cover_every_pixel_at_aligned_places(height: int, width: int, align: int, overlap: int) -> None:
    padded = tiling.pad(picture(height, width), 16, 16, align)
    covered = np.zeros(padded.shape[:2], bool)
    for y, x in tiling.corners(*covered.shape, (16, 16), overlap, align):
        assert y % align == x % align == 0
        assert covered[y : y + 16, x : x + 16].shape == (16, 16)
        covered[y : y + 16, x : x + 16] = True
    assert covered.all()


@given(height=sizes, width=sizes, overlap=overlaps, seed=st.integers(0, 99))
def test_tiles_cut_from_a_picture_blend_back_to_it_in_any_order(
    height: int, width: int, overlap: int, seed: int
) -> None:
    original = tiling.pad(picture(height, width, seed), 16, 16)
    corners = tiling.corners(*original.shape[:2], (16, 16), overlap)
    np.random.default_rng(seed).shuffle(corners)
    canvas = tiling.Canvas(*original.shape[:2], overlap)
    for y, x in corners:
        canvas.add(y, x, original[y : y + 16, x : x + 16])
    np.testing.assert_array_equal(canvas.pixels(), original)


def test_the_blend_of_different_tiles_is_a_straight_line() -> None:
    canvas = tiling.Canvas(1, 16, 4)
    canvas.add(0, 0, np.full((1, 10, 3), 0, np.uint8))
    canvas.add(0, 6, np.full((1, 10, 3), 250, np.uint8))
    assert canvas.pixels()[0, :, 0].tolist() == [0] * 6 + [50, 100, 150, 200] + [250] * 6


def test_order_does_not_matter_for_different_tiles() -> None:
    tiles = [(y, x, picture(16, 16, seed=y * 31 + x)) for y in (0, 12, 20) for x in (0, 12, 20)]
    first, second = tiling.Canvas(36, 36, 4), tiling.Canvas(36, 36, 4)
    for tile in tiles:
        first.add(*tile)
    for tile in reversed(tiles):
        second.add(*tile)
    np.testing.assert_array_equal(first.pixels(), second.pixels())


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
