import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import metrics

seeds = settings(max_examples=25, deadline=None)(given(seed=st.integers(0, 2**32 - 1)))


def pictures(seed: int, count: int = 2, side: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize(("levels", "decibels"), [(1, 48.1308), (2, 42.1102), (255, 0.0)])
def test_psnr_of_a_constant_error(levels: int, decibels: float) -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    assert metrics.psnr_db(black + np.uint8(levels), black) == pytest.approx(decibels, abs=1e-4)


def test_psnr_of_equal_pictures_is_a_number() -> None:
    x = pictures(0)[0]
    assert metrics.psnr_db(x, x) == metrics.EXACT_DB


@seeds
def test_psnr_and_ssim_are_symmetric_and_ssim_is_at_most_one(seed: int) -> None:
    x, y = pictures(seed)
    assert metrics.psnr_db(x, y) == metrics.psnr_db(y, x)
    assert metrics.ssim(x, y) == pytest.approx(metrics.ssim(y, x), abs=1e-12)
    assert metrics.ssim(x, y) < metrics.ssim(x, x)
    assert metrics.ssim(x, x) == pytest.approx(1, abs=1e-12)


def test_ssim_of_two_flat_pictures_is_their_luminance_term() -> None:
    x, y = (np.full((16, 16, 3), level, np.uint8) for level in (50, 100))
    c1 = (0.01 * 255) ** 2
    assert metrics.ssim(x, y) == pytest.approx((2 * 50 * 100 + c1) / (50**2 + 100**2 + c1), abs=1e-9)


def test_ssim_of_one_window_is_the_formula() -> None:
    """An 11 x 11 picture has one window; the statistics are written out with its 121 weights."""
    x, y = (picture @ metrics.LUMA for picture in pictures(1, side=11))
    square = np.square(np.arange(11) - 5)
    weights = np.exp(-(square[:, None] + square[None]) / 4.5)
    weights /= weights.sum()
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    expected /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    assert metrics.ssim(*pictures(1, side=11)) == pytest.approx(expected, abs=1e-9)


def test_colour_shift_is_signed_and_per_channel() -> None:
    original = np.full((4, 4, 3), 100, np.uint8)
    assert metrics.colour_shift(original + np.array([3, 0, 7], np.uint8), original).tolist() == [3, 0, 7]
    assert metrics.colour_shift(original - np.array([3, 0, 7], np.uint8), original).tolist() == [-3, 0, -7]


@pytest.mark.parametrize("period", [2, 4])
def test_grid_figure_sees_a_faint_checkerboard_and_not_a_blur(period: int) -> None:
    smooth = np.random.default_rng(0).normal(128, 8, (64, 64, 1)).repeat(3, axis=2).astype(np.uint8)
    on = np.indices((64, 64)).sum(axis=0) // (period // 2) % 2
    board = smooth + (2 * on[..., None]).astype(np.uint8)
    blurred = (smooth // 2 + np.roll(smooth, 1, axis=0) // 2).astype(np.uint8)
    assert metrics.grid_db(board) > metrics.grid_db(smooth) + 1
    assert metrics.grid_db(blurred) < metrics.grid_db(smooth) + 1


@pytest.mark.parametrize("period", [2, 4])
def test_grid_levels_are_those_of_the_pattern(period: int) -> None:
    """Columns that rise and fall by 3 levels, on a slope, which is no pattern."""
    columns = 3 * np.where(np.arange(64) % period < period // 2, 1, -1) + np.arange(64)
    board = np.broadcast_to((100 + columns)[None, :, None], (64, 64, 3)).astype(np.uint8)
    assert metrics.grid_levels(board) == pytest.approx(3, abs=1e-9)
    flat = np.broadcast_to((100 + np.arange(64))[None, :, None], (64, 64, 3)).astype(np.uint8)
    assert metrics.grid_levels(flat) == pytest.approx(0, abs=1e-9)


def test_perceptual_distance_of_hand_made_features() -> None:
    """Orthogonal unit vectors are 2 apart in every layer, whatever their lengths."""
    x = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    y = torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
    assert metrics.perceptual_distance([x] * 5, [y] * 5).item() == pytest.approx(2 * 0.4383, abs=1e-4)
    assert metrics.perceptual_distance([x] * 5, [7 * x] * 5).item() == 0


def test_kid_is_the_mean_over_pairs() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 3 + 1) ** 3)

    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    terms = [kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i]) for i, j in pairs]
    assert metrics.kid(x, y) == pytest.approx(1e3 * np.mean(terms))


@seeds
def test_kid_is_zero_for_the_same_set_small_for_a_second_sample_large_for_a_shift(seed: int) -> None:
    x, y, shifted = np.random.default_rng(seed).normal(size=(3, 200, 16))
    assert metrics.kid(x, x) == pytest.approx(0, abs=1e-9)
    assert metrics.kid(x, y) < 500 < metrics.kid(x, shifted + 1)


@seeds
def test_first_draw_is_the_plain_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = metrics.photo_weights(5, seed, draws=3)
    values = rng.normal(size=5)
    x, y = rng.normal(size=(2, 20, 8))
    assert metrics.mean_draws(values, weights)[0] == pytest.approx(values.mean())
    assert metrics.kid_draws(metrics.kid_terms(x, y), weights)[0] == pytest.approx(metrics.kid(x, y))


def test_every_draw_counts_as_many_photos_as_there_are() -> None:
    weights = metrics.photo_weights(7, seed=0)
    assert weights.shape == (2001, 7)
    assert set(weights.sum(axis=1)) == {7}


def test_interval_covers_the_mean_and_repeats() -> None:
    values = np.random.default_rng(0).normal(10, 1, size=50)
    low, high = metrics.interval(metrics.mean_draws(values, metrics.photo_weights(50, seed=0)))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 50**0.5, rel=0.1)
    assert (low, high) == metrics.interval(metrics.mean_draws(values, metrics.photo_weights(50, seed=0)))


def test_interval_of_a_constant_difference_is_a_point() -> None:
    weights = metrics.photo_weights(9, seed=0)
    values = np.random.default_rng(0).normal(size=9)
    difference = metrics.mean_draws(values + 2, weights) - metrics.mean_draws(values, weights)
    assert metrics.interval(difference) == pytest.approx((2, 2))
