"""When a warm-up ends, whether a pace drifts, and whether one result is faster than another.

Times on a real machine are skewed, depend on their neighbours and differ from one run to the next, so what is asked
here is asked of medians, pairs, blocks and whole runs, never of two means.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codi_export.profile.result import Drift, Histogram

Floats = NDArray[np.float64]

WINDOW = 5  # calls
TOLERANCE = 0.03
DRAWS = 4000
SHORTEST = 1e-6  # ms; no clock tells less from nothing
LEVEL = 0.95
MOST_BINS = 60
DRIFTED = 0.02  # of the median: a trend below it is of no use to anyone, however certain
MOST_TREND_SAMPLES = 1000  # all pairs of them are looked at


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much longer b takes than a: `ratio` of typical paired calls, with its interval at 95 %.

    `p`: two-sided, of there being no difference. `units`: what was resampled, "runs" or "blocks of calls".
    """

    ratio: float
    low: float
    high: float
    p: float
    n: int
    units: str

    @property
    def certain(self) -> bool:
        """Whether the interval excludes equality."""
        return self.low > 1 or self.high < 1


def settled(samples: Sequence[float]) -> bool:
    """Whether a warm-up may end: the medians of the last WINDOW calls and of the WINDOW before differ by TOLERANCE at
    most."""
    if len(samples) < 2 * WINDOW:
        return False
    before, last = np.median(samples[-2 * WINDOW : -WINDOW]), np.median(samples[-WINDOW:])
    return bool(abs(last - before) <= TOLERANCE * before)


def histogram(samples: Sequence[float]) -> Histogram:
    """Bins by Freedman and Diaconis (1981), at most `MOST_BINS`, over one or more samples."""
    values = np.asarray(samples, dtype=np.float64)
    spread = np.ptp(values)
    q1, q3 = np.percentile(values, [25, 75])
    width = 2 * (q3 - q1) / len(values) ** (1 / 3)
    bins = min(MOST_BINS, math.ceil(spread / width)) if width > 0 else 1
    counts, edges = np.histogram(values, bins=max(1, bins))
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def drift(runs: Sequence[Sequence[float]]) -> Drift | None:
    """Of the runs with four samples or more; None if there are none. See `Drift`."""
    long = [np.asarray(run, dtype=np.float64) for run in runs if len(run) >= 4]
    if not long:
        return None
    trends = [_trend(run) for run in long]
    medians = [float(np.median(run)) for run in long]
    within = float(np.median([change for change, _ in trends]))
    p = min(1.0, min(p for _, p in trends) * len(trends))  # Bonferroni
    return Drift(within, p, max(medians) / min(medians) - 1 if len(medians) > 1 else None)


def drifted(found: Drift) -> bool:
    """Whether a reader must be told: a certain trend that matters, within the runs."""
    return found.p < 0.01 and abs(found.within) > DRIFTED


def compare(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], seed: int = 0) -> Comparison:
    """Milliseconds by run, a's and b's; the i-th calls of the r-th runs are a pair. What has no partner is left out.

    Of every run the median log ratio of its pairs is taken, and their mean over runs is the estimate. What differs
    between runs (memory layout, neighbours, temperature) is usually more than what differs between calls, so with
    several runs whole runs are resampled. With one run blocks of consecutive pairs are (in a circle, Politis and Romano
    1992), n^(1/3) long, since neighbours are alike; that another run would differ the interval cannot know. Either way
    each draw is widened by sqrt(k / chi²) with k - 1 degrees of freedom for k units: few units know their spread no
    better, and for normal spread that makes Student's interval.

    Raises ValueError without a pair.
    """
    pairs = [_log_ratios(x, y) for x, y in zip(a, b, strict=False) if min(len(x), len(y)) > 0]
    if not pairs:
        raise ValueError("no call of one has a partner in the other")
    rng = np.random.default_rng(seed)
    if len(pairs) == 1 and len(pairs[0]) == 1:  # says nothing of its spread
        return Comparison(math.exp(float(pairs[0][0])), 0.0, math.inf, 1.0, 1, "blocks of calls")
    if len(pairs) > 1:
        medians = np.array([np.median(run) for run in pairs])
        estimate, draws, units = float(medians.mean()), _resample_runs(medians, rng), "runs"
    else:
        estimate, draws, units = float(np.median(pairs[0])), _resample_blocks(pairs[0], rng), "blocks of calls"
    low, high = np.percentile(draws, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    p = min(1.0, 2 * (1 + int(beyond)) / (1 + DRAWS))
    ratio, low, high = (math.exp(float(value)) for value in (estimate, low, high))
    return Comparison(ratio, low, high, p, sum(map(len, pairs)), units)


def _log_ratios(a: Sequence[float], b: Sequence[float]) -> Floats:
    n = min(len(a), len(b))
    before, after = (np.maximum(np.asarray(times[:n], np.float64), SHORTEST) for times in (a, b))
    return np.asarray(np.log(after) - np.log(before))


def _resample_runs(values: Floats, rng: np.random.Generator) -> Floats:
    """Draws of the mean."""
    means = rng.choice(values, (DRAWS, len(values))).mean(axis=1)
    return _widened(means, float(values.mean()), len(values), rng)


def _resample_blocks(values: Floats, rng: np.random.Generator) -> Floats:
    """Draws of the median."""
    n = len(values)
    length = max(1, round(n ** (1 / 3)))
    count = -(-n // length)
    starts = rng.integers(0, n, (DRAWS, count))
    index = ((starts[..., None] + np.arange(length)) % n).reshape(DRAWS, -1)[:, :n]
    return _widened(np.median(values[index], axis=1), float(np.median(values)), count, rng)


def _widened(draws: Floats, centre: float, units: int, rng: np.random.Generator) -> Floats:
    return np.asarray(centre + (draws - centre) * np.sqrt(units / rng.chisquare(units - 1, DRAWS)))


def _trend(values: Floats) -> tuple[float, float]:
    """Change from first to last by Theil and Sen's slope, as a share of the median; and the p-value of Kendall's tau,
    by its normal approximation with ties."""
    stride = -(-len(values) // MOST_TREND_SAMPLES)
    thinned = values[::stride]
    n = len(thinned)
    first, second = np.triu_indices(n, 1)
    rise = thinned[second] - thinned[first]
    slope = float(np.median(rise / (second - first)))
    ties = np.unique(thinned, return_counts=True)[1].astype(np.float64)
    variance = (n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18
    z = float(np.sign(rise).sum()) / math.sqrt(variance) if variance > 0 else 0.0
    return slope * (n - 1) / float(np.median(values)), math.erfc(abs(z) / math.sqrt(2))
