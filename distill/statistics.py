"""What differences between trained arms are worth: intervals over seeds and photos, and the price of many questions.

Figures form a table [seeds, photos]: every seed meets the same photos. So both are resampled, each once for the whole
table (Owen 2007, "The pigeonhole bootstrap"): photos resampled anew for each seed would average their luck away, though
it is the same in all seeds.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
DRAWS = 20_000  # the smallest p-value, 1e-4, must survive Holm's correction over some dozens of comparisons
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, its 95 % interval, and the two-sided p-value of its being 0.

    One seed allows an interval over photos, "this training would do so on other photos", and no more: how another
    training comes out is unknown, so its p is 1. One photo says as little.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int


def estimate(table: Floats) -> Estimate:
    """Of figures, or of differences between paired ones, [seeds, photos].

    A bootstrap of few seeds is too sure: its spread is short by sqrt((n - 1) / n), and knows that spread no better than
    n - 1 degrees of freedom allow. Each draw of a level is therefore scaled by sqrt(n / chi²), chi² with n - 1 degrees
    of freedom, which makes of a normal spread the t distribution's.
    """
    mean, (seeds, photos) = float(table.mean()), table.shape
    draws = mean + _deviations(table.mean(axis=0), 0) + _deviations(table.mean(axis=1), 1)
    low, high = np.percentile(draws, [50 * LEVEL, 100 - 50 * LEVEL])
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    p = min(1.0, 2 * (1 + beyond) / (1 + DRAWS)) if min(seeds, photos) > 1 else 1.0
    return Estimate(mean, float(low), float(high), float(p), seeds)


def _deviations(values: Floats, stream: int) -> Floats:
    """Draws of how far a mean of such values may lie from the true one: 0 for a single value, which cannot tell."""
    if len(values) == 1:
        return np.zeros(DRAWS)
    weights, scale = _draws(len(values), stream)
    return np.asarray((weights @ values - values.mean()) * scale)


@functools.lru_cache(maxsize=8)
def _draws(count: int, stream: int) -> tuple[Floats, Floats]:
    """Always the same ones: shares of `count` values that were resampled, [draws, count], and scales, [draws]."""
    rng = np.random.default_rng((count, stream))
    weights = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS) / count
    return weights, np.sqrt(count / rng.chisquare(count - 1, DRAWS))


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): the k-th smallest of m times m - k + 1, never below the one
    before it, at most 1. Below .05, the chance of any false claim among all is below .05."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    corrected, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, values[index] * (len(values) - rank)))
        corrected[index] = largest
    return corrected


def certain(found: Estimate, corrected: float) -> bool:
    """Whether a difference may be called one: the interval excludes 0 and the corrected p-value is below .05."""
    return (found.low > 0 or found.high < 0) and corrected < LEVEL
