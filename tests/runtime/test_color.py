"""Colours come from the photo, and detail stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export.errors import CodiError
from codi_export.runtime import color
from codi_export.runtime.image import resize_bicubic

sizes = st.integers(1, 40)


def picture(height: int, width: int, low: int = 0, high: int = 256, seed: int = 0) -> color.Pixels:
    return np.random.default_rng(seed).integers(low, high, (height, width, 3), np.uint8)


def by_levels(picture: color.Pixels, photo: color.Pixels) -> color.Pixels:
    """The wavelet fix as StableSR writes it: five levels of [1 2 1] / 4, the edge repeated, in floating point."""
    low = np.pad(
        resize_bicubic(photo, *picture.shape[:2]).astype(float) - picture, ((31, 31), (31, 31), (0, 0)), "edge"
    )
    for level in range(5):
        d = 2**level
        low = (low[: -2 * d] + 2 * low[d:-d] + low[2 * d :]) / 4
        low = (low[:, : -2 * d] + 2 * low[:, d:-d] + low[:, 2 * d :]) / 4
    return np.clip(np.floor(picture + low + 0.5), 0, 255).astype(np.uint8)


@given(height=sizes, width=sizes, seed=st.integers(0, 99))
def test_two_boxes_are_five_levels_of_the_wavelet(height: int, width: int, seed: int) -> None:
    photo, large = picture(height, width, seed=seed), picture(height * 4, width * 4, seed=seed + 1)
    difference = color.wavelet(large, photo).astype(int) - by_levels(large, photo)
    assert np.abs(difference).max() <= 1  # floating point rounds a tie either way
    assert (difference != 0).mean() < 0.01


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, large = picture(40, 30), picture(160, 120, seed=1)
    whole = color.wavelet(large, photo)
    monkeypatch.setattr(color, "BAND", 7)
    np.testing.assert_array_equal(color.wavelet(large, photo), whole)


def test_a_shift_of_colour_is_undone_and_detail_stays() -> None:
    photo = picture(32, 32, 60, 160)
    right = resize_bicubic(photo, 128, 128)
    shifted = right + np.array([20, 5, 30], np.uint8)
    for kind in ("wavelet", "adain"):
        fixed = color.fix(kind, shifted, photo).astype(float)  # type: ignore[arg-type]
        assert np.abs(fixed.mean(axis=(0, 1)) - right.mean(axis=(0, 1))).max() < 1.5, kind
    np.testing.assert_array_equal(color.wavelet(shifted, photo), right)


@given(size=st.integers(2, 40), seed=st.integers(0, 99))
def test_adain_gives_the_photos_mean_and_deviation(size: int, seed: int) -> None:
    photo, large = picture(size, size, 80, 170, seed), picture(size * 4, size * 4, 60, 200, seed + 1)
    fixed = color.adain(large, photo).astype(float)
    np.testing.assert_allclose(fixed.mean(axis=(0, 1)), photo.mean(axis=(0, 1)), atol=0.5)  # levels are whole
    np.testing.assert_allclose(fixed.std(axis=(0, 1)), photo.std(axis=(0, 1)), atol=0.5)


def test_a_flat_picture_gets_the_photos_mean() -> None:
    photo, flat = picture(8, 8), np.full((32, 32, 3), 9, np.uint8)
    expected = np.floor(photo.mean(axis=(0, 1)) + 0.5)
    np.testing.assert_array_equal(color.adain(flat, photo), np.broadcast_to(expected, flat.shape))


def test_none_is_none_and_others_are_refused() -> None:
    large = picture(8, 8)
    assert color.fix("none", large, picture(2, 2)) is large
    with pytest.raises(CodiError, match="unknown colour fix 'warm'"):
        color.fix("warm", large, picture(2, 2))  # type: ignore[arg-type]
