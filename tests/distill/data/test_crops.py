from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export.errors import CodiError
from distill.config import DataConfig
from distill.data import crops, pictures


@given(st.integers(8, 96), st.integers(20, 120), st.integers(20, 120), st.integers(0, 2**32 - 1))
def test_a_crop_has_the_size_asked_for_whatever_the_picture(size: int, height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    one, other = crops.crop([pixels, pixels.copy()], size, np.random.default_rng(seed))
    assert one.shape == (size, size, 3)
    assert np.array_equal(one, other)  # views are cut at one place


@given(st.integers(0, 2**32 - 1))
def test_a_turn_moves_pixels_and_changes_none(seed: int) -> None:
    pixels = np.arange(5 * 5 * 3, dtype=np.uint8).reshape(5, 5, 3)
    turned, alike = crops.turn([pixels, pixels], np.random.default_rng(seed))
    assert np.array_equal(turned, alike)
    assert sorted(map(tuple, turned.reshape(-1, 3))) == sorted(map(tuple, pixels.reshape(-1, 3)))


def test_every_extent_holds_as_many_pixels() -> None:
    data = DataConfig(crops=(64, 128, 256), shares=(0.4, 0.3, 0.3))
    drawn = {crops.extent(data, 32, np.random.default_rng(seed)) for seed in range(60)}
    assert drawn == {(64, 32), (128, 8), (256, 2)}


def test_photos_and_scenes_are_drawn_in_their_shares(pack: Path) -> None:
    photos, scenes = pictures.load(pack, "photos/train"), pictures.load(pack, "scenes/train-*.tar")
    rng = np.random.default_rng(0)
    drawn = [crops.choose(photos, scenes, 0.75, rng) in photos for _ in range(400)]
    assert 0.68 < np.mean(drawn) < 0.82


def test_a_share_of_nothing_says_what_to_change(pack: Path) -> None:
    scenes = pictures.load(pack, "scenes/train-*.tar")
    with pytest.raises(CodiError, match=r"photo_share = 1.0 asks for photos") as raised:
        crops.choose([], scenes, 1.0, np.random.default_rng(0))
    assert "held_out_photos" in raised.value.hint
