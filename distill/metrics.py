"""How far an output is from its original: one function per formula.

Pictures are uint8 [H, W, 3] RGB. The two metrics that need a network take its features (`judges.py`).
Photos are the unit of chance: crops of one photo are not independent, so every interval resamples photos.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from .data.pictures import Pixels

Floats = npt.NDArray[np.float64]

PEAK = 255.0
EXACT_DB = 100.0  # of equal pictures: an infinity has no mean and no place in JSON
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def psnr_db(output: Pixels, original: Pixels) -> float:
    """Peak signal-to-noise ratio over all RGB values, at most EXACT_DB."""
    error = np.mean((output.astype(np.float64) - original) ** 2)
    return min(EXACT_DB, float(10 * np.log10(PEAK**2 / error))) if error else EXACT_DB


def ssim(output: Pixels, original: Pixels) -> float:
    """Structural similarity of the luma, mean over all whole windows: Wang et al. 2004, equation 13."""
    x, y = output @ LUMA, original @ LUMA
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = _window_mean(x * x) - mean_x**2
    variance_y = _window_mean(y * y) - mean_y**2
    covariance = _window_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return float(np.mean(luminance * structure))


def _window_mean(plane: Floats) -> Floats:
    """Gaussian mean of every whole 11 x 11 window, sigma 1.5 (the window of Wang et al. 2004)."""
    kernel = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        plane = np.lib.stride_tricks.sliding_window_view(plane, len(kernel), axis=axis) @ kernel
    return plane


def colour_shift(output: Pixels, original: Pixels) -> Floats:
    """Mean signed difference of each channel, in levels.  # [3]"""
    return np.asarray((output.astype(np.float64) - original).mean(axis=(0, 1)))


def grid_db(picture: Pixels) -> float:
    """How far the frequencies of a period-2 or period-4 pattern stand out of their surroundings, in dB.

    A checkerboard that a decoder adds is a line in the spectrum at multiples of a quarter cycle per pixel. Photos have
    some of it too (block transforms of their codec), so compare with the original's figure.
    """
    height, width = (side - side % 4 for side in picture.shape[:2])
    window = np.outer(np.hanning(height + 1)[:-1], np.hanning(width + 1)[:-1])
    power = np.abs(np.fft.fft2((picture[:height, :width] @ LUMA) * window)) ** 2
    level = 10 * np.log10(power + 1)  # + 1: far below the rounding noise of uint8, and finite for flat pictures
    ring = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4) if max(abs(dy), abs(dx)) == 3]  # past the Hann lobe
    around = np.mean([np.roll(level, shift, axis=(0, 1)) for shift in ring], axis=0)
    lines = (level - around)[:: height // 4, :: width // 4]
    return float(lines.ravel()[1:].mean())  # the first is the mean brightness, not a pattern


def grid_levels(picture: Pixels) -> float:
    """What repeats every 4 pixels in the luma: root mean square over the 16 places of a 4 x 4 cell, in levels of 255.

    `grid_db` compares with what surrounds the lines, so it is large for smooth pictures; this is how strong the
    pattern is. A photo of n cells has about its own detail / sqrt(n) of it by chance.
    """
    detail = picture @ LUMA
    kernel = np.array([1, 2, 2, 2, 1]) / 8  # zero at periods of 4 and 2 pixels, one at constants
    for axis in (0, 1):
        detail = np.lib.stride_tricks.sliding_window_view(detail, len(kernel), axis=axis) @ kernel
    detail = (picture @ LUMA)[2:-2, 2:-2] - detail
    height, width = (side - side % 4 for side in detail.shape)
    cells = detail[:height, :width].reshape(height // 4, 4, width // 4, 4)
    return float(np.sqrt((cells.mean(axis=(0, 2)) ** 2).mean()))


def perceptual_distance(output: Sequence[torch.Tensor], original: Sequence[torch.Tensor]) -> torch.Tensor:
    """Zhang et al. 2018, equation 1, with one weight per layer.  # features [B, C, h, w] per layer -> [B]

    The weights are the means of LPIPS v0.1's five VGG heads. The heads themselves weigh the channels of torchvision's
    VGG, which HED's VGG does not share: on this trunk they do no better than the same heads with their channels
    shuffled (correlation .95 to .998 over blur, noise and other pictures; with the means .996).
    """
    weights = (0.1082, 0.0692, 0.0684, 0.1006, 0.0919)
    layers = zip(weights, output, original, strict=True)
    return torch.stack([weight * _layer_distance(x, y) for weight, x, y in layers]).sum(dim=0)


def _layer_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Squared distance of the unit-length channel vectors, mean over positions."""
    unit_x, unit_y = (torch.nn.functional.normalize(features, dim=1, eps=1e-10) for features in (x, y))
    return (unit_x - unit_y).square().sum(dim=1).mean(dim=(1, 2))


def kid_terms(outputs: Floats, originals: Floats) -> Floats:
    """h(z_i, z_j) of Gretton et al. 2012, equation 4, for features [n, D] of n pairs.  # [n, n]

    An output and its original are one pair z: leaving out i = j keeps the estimate unbiased although they are alike,
    and exactly 0 for a set against itself.
    """
    cross = _cubic_kernel(outputs, originals)
    return _cubic_kernel(outputs, outputs) + _cubic_kernel(originals, originals) - cross - cross.T


def kid(outputs: Floats, originals: Floats) -> float:
    """Kernel inception distance x 1000 (Binkowski et al. 2018): unbiased squared MMD over all pairs."""
    terms = kid_terms(outputs, originals)
    count = len(terms)
    return float(1e3 * (terms.sum() - np.trace(terms)) / (count * (count - 1)))


def _cubic_kernel(x: Floats, y: Floats) -> Floats:
    """(x.y / D + 1)^3, the kernel of KID."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def photo_weights(photos: int, seed: int, draws: int = 2000) -> Floats:
    """How often each photo counts: once in the first row, then `draws` bootstrap samples.  # [1 + draws, photos]"""
    samples = np.random.default_rng(seed).multinomial(photos, np.full(photos, 1 / photos), size=draws)
    return np.vstack([np.ones(photos), samples])


def mean_draws(by_photo: Floats, weights: Floats) -> Floats:
    """The mean over photos under each row of weights; the first entry is the plain mean.  # [1 + draws, ...]"""
    return np.asarray(weights @ by_photo / len(by_photo))


def kid_draws(terms: Floats, weights: Floats) -> Floats:
    """KID x 1000 under each row of weights, for terms that hold equally many crops of each photo in order.

    Two copies of a photo in one sample are never compared with each other: their crops are the same crops.
    """
    photos = weights.shape[1]
    crops = len(terms) // photos
    blocks = (terms - np.diag(np.diag(terms))).reshape(photos, crops, photos, crops).sum(axis=(1, 3))
    pairs = np.full((photos, photos), crops**2) - crops * np.eye(photos)
    return 1e3 * _pair_sum(blocks, weights) / _pair_sum(pairs, weights)


def _pair_sum(blocks: Floats, weights: Floats) -> Floats:
    """Sum over photo pairs p, q of weight_p weight_q block_pq, and of weight_p block_pp.  # [1 + draws]"""
    within = np.diag(blocks)
    between = blocks - np.diag(within)
    return np.asarray(((weights @ between) * weights).sum(axis=1) + weights @ within)


def interval(draws: Floats) -> tuple[float, float]:
    """95 % bootstrap interval of what `mean_draws` or `kid_draws` returned, or of a difference of two such."""
    low, high = np.percentile(draws[1:], [2.5, 97.5])
    return float(low), float(high)
