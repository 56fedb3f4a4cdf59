"""The networks with their real weights, on small pictures."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from codi_export.errors import CodiError, ErrorCode
from distill import judges, metrics


@pytest.fixture(scope="module")
def trunk() -> judges.HedVgg:
    return judges.HedVgg()


@pytest.fixture(scope="module")
def mobilenet() -> judges.MobileNetV2:
    return judges.MobileNetV2()


def textures(count: int, side: int) -> list[Image.Image]:
    """Coloured noise at two scales: something that a blur takes away."""
    rng = np.random.default_rng(0)
    coarse, fine = (rng.integers(0, 256, (count, n, n, 3), dtype=np.uint8) for n in (8, side))
    pairs = zip(coarse, fine, strict=True)
    return [
        Image.blend(Image.fromarray(large).resize((side, side)), Image.fromarray(small), 0.3) for large, small in pairs
    ]


def blurred(picture: Image.Image, radius: float) -> np.ndarray:
    return np.array(picture.filter(ImageFilter.GaussianBlur(radius)))


def test_perceptual_distance_is_zero_for_the_same_and_rises_with_blur(trunk: judges.HedVgg) -> None:
    [picture] = textures(1, 64)
    original = judges.perceptual_features(trunk, np.array(picture))
    distances = [
        metrics.perceptual_distance(judges.perceptual_features(trunk, blurred(picture, radius)), original).item()
        for radius in (0, 1, 2, 4)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] > 0.01


def test_taps_are_the_five_layers_of_lpips(trunk: judges.HedVgg) -> None:
    shapes = [tuple(tap.shape) for tap in judges.perceptual_features(trunk, np.zeros((32, 48, 3), np.uint8))]
    assert shapes == [(1, 64, 32, 48), (1, 128, 16, 24), (1, 256, 8, 12), (1, 512, 4, 6), (1, 512, 2, 3)]


def test_kid_is_zero_for_the_same_and_rises_with_blur(mobilenet: judges.MobileNetV2) -> None:
    pictures = textures(24, 64)
    original = judges.kid_features(mobilenet, np.stack([np.array(picture) for picture in pictures]))
    distances = [
        metrics.kid(
            judges.kid_features(mobilenet, np.stack([blurred(picture, radius) for picture in pictures])), original
        )
        for radius in (0, 1, 4)
    ]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances == sorted(distances)
    assert distances[1] > 1


def test_features_do_not_depend_on_the_batch(mobilenet: judges.MobileNetV2) -> None:
    pictures = np.stack([np.array(picture) for picture in textures(5, 64)])
    one, many = (judges.kid_features(mobilenet, pictures, batch) for batch in (1, 5))
    assert one.shape == (5, 1280)
    np.testing.assert_allclose(one, many, atol=1e-4)
    assert one.min() >= 0
    assert one.max() <= 6


@pytest.mark.parametrize(("distribution", "ending"), [("no-such-distribution", ".h5"), ("numpy", ".no-such-ending")])
def test_missing_weights_say_what_to_install(distribution: str, ending: str) -> None:
    with pytest.raises(CodiError, match=distribution) as caught:
        judges.weight_file(distribution, ending)
    assert caught.value.code is ErrorCode.MISSING_PACKAGE
    assert "--no-deps" in caught.value.hint
