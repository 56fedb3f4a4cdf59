"""Against closed forms and scipy; nothing is timed."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from codi_export.profile import statistics
from codi_export.profile.statistics import TOLERANCE, WINDOW, compare, drift, drifted, histogram, settled

rng = np.random.default_rng


def test_a_warm_up_ends_when_two_windows_agree() -> None:
    falling = [100 * 0.8**k for k in range(30)]
    assert not settled([10.0] * (2 * WINDOW - 1))
    assert settled([10.0] * 2 * WINDOW)
    assert not settled(falling)
    assert settled([*falling, *[5.0] * 2 * WINDOW])


def test_one_outlier_does_not_keep_a_warm_up_going() -> None:
    assert settled([10.0] * 7 + [500.0] + [10.0] * 2)


@pytest.mark.parametrize(("after", "ends"), [(1 - TOLERANCE, True), (1 - 1.01 * TOLERANCE, False)])
def test_the_tolerance_is_the_stated_one(after: float, ends: bool) -> None:
    assert settled([100.0] * WINDOW + [100 * after] * WINDOW) is ends


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=200))
def test_a_histogram_holds_every_sample(samples: list[float]) -> None:
    found = histogram(samples)
    assert (
        sum(found.counts) == len(samples) and len(found.edges_ms) == len(found.counts) + 1 <= statistics.MOST_BINS + 1
    )
    assert found.edges_ms[0] <= min(samples) and found.edges_ms[-1] >= max(samples)


def test_histogram_bins_are_those_of_freedman_and_diaconis() -> None:
    samples = rng(0).normal(100, 5, 400)
    assert len(histogram(samples.tolist()).counts) == len(np.histogram_bin_edges(samples, "fd")) - 1


def test_drift_of_a_line_is_its_rise() -> None:
    found = drift([[100 + k / 10 for k in range(101)]])
    assert found is not None and found.within == pytest.approx(10 / 105) and found.between is None
    assert drifted(found)


@pytest.mark.parametrize("ties", [False, True])
def test_trend_is_scipys(ties: bool) -> None:
    values = rng(1).normal(100, 2, 80) + np.arange(80) / 40
    values = values.round() if ties else values
    found = drift([values.tolist()])
    wanted = scipy.stats.kendalltau(np.arange(80), values, method="asymptotic")
    slope = scipy.stats.theilslopes(values).slope
    assert found is not None
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-9)
    assert found.within == pytest.approx(slope * 79 / np.median(values), rel=1e-9)


def test_a_steady_pace_has_not_drifted() -> None:
    false = sum(drifted(found) for seed in range(200) if (found := drift([rng(seed).normal(100, 3, 60).tolist()])))
    assert false <= 6  # p < .01: 2 of 200 are expected; more than 6 would be one chance in 200


def test_a_few_samples_have_no_drift_and_equal_ones_none() -> None:
    assert drift([[1.0, 2.0, 3.0], []]) is None
    found = drift([[5.0] * 10])
    assert found is not None and (found.within, found.p) == (0, 1)


def test_drift_between_runs_is_the_spread_of_their_medians() -> None:
    found = drift([[100.0] * 5, [110.0] * 5, [104.0] * 5])
    assert found is not None and found.between == pytest.approx(0.1)


def test_of_runs_the_interval_is_students() -> None:
    """A run's median log ratio is what it is; over runs the interval is that of a t distribution."""
    values = rng(2).normal(0.05, 0.02, 6)
    found = compare([[1.0]] * 6, [[math.exp(v)] for v in values])
    error = values.std(ddof=1) / math.sqrt(6)
    low, high = scipy.stats.t.interval(0.95, 5, values.mean(), error)
    assert found.units == "runs" and math.log(found.ratio) == pytest.approx(values.mean())
    assert math.log(found.low) == pytest.approx(low, abs=0.12 * (high - low))
    assert math.log(found.high) == pytest.approx(high, abs=0.12 * (high - low))


def test_of_one_run_the_interval_is_that_of_a_median() -> None:
    """The standard error of the median of n normal values is sqrt(pi / 2n) times theirs."""
    n, sigma = 900, 0.05
    widths = []
    for seed in range(12):
        found = compare([[1.0] * n], [np.exp(rng(seed).normal(0, sigma, n)).tolist()], seed)
        widths.append(math.log(found.high / found.low))
    assert found.units == "blocks of calls"
    assert np.mean(widths) == pytest.approx(2 * 1.96 * sigma * math.sqrt(math.pi / 2 / n), rel=0.12)


def test_neighbours_that_are_alike_widen_the_interval() -> None:
    """An AR(1) series of correlation .8 knows its mean as a ninth as many independent values would."""
    n, values = 800, [0.0]
    for shock in rng(3).normal(0, 0.03, n - 1):
        values.append(0.8 * values[-1] + shock)
    series = np.array(values)
    dependent = compare([[1.0] * n], [np.exp(series).tolist()])
    shuffled = compare([[1.0] * n], [np.exp(rng(4).permutation(series)).tolist()])
    assert math.log(dependent.high / dependent.low) > 1.7 * math.log(shuffled.high / shuffled.low)


@pytest.mark.parametrize("runs", [1, 5])
def test_equals_are_rarely_called_different(runs: int) -> None:
    """5 % of 120: 6; 13 or more would be one chance in a hundred."""
    false = 0
    for seed in range(120):
        level = np.exp(rng(seed).normal(0, 0.02 if runs > 1 else 0, (2, runs, 1)))  # each run has a pace of its own
        a, b = level * np.exp(rng(seed + 1000).normal(0, 0.05, (2, runs, 40)))
        false += compare(a.tolist(), b.tolist(), seed).certain
    assert false < 13


@pytest.mark.parametrize("runs", [1, 5])
def test_a_difference_is_found(runs: int) -> None:
    a, b = rng(5).normal(100, 2, (2, runs, 60))
    found = compare(a.tolist(), (b * 1.1).tolist())
    assert found.certain and found.p < 0.01 and found.low < 1.1 < found.high and found.n == runs * 60


def test_outliers_do_not_make_a_difference() -> None:
    """Two means would call b 40 % slower."""
    a, b = rng(6).normal(100, 2, (2, 1, 100))
    b[0, :2] = 2000
    assert not compare(a.tolist(), b.tolist()).certain


def test_swapping_the_two_inverts_the_ratio() -> None:
    a, b = rng(7).normal(100, 3, (2, 4, 30))
    forth, back = compare(a.tolist(), b.tolist()), compare(b.tolist(), a.tolist())
    assert forth.ratio == pytest.approx(1 / back.ratio)


def test_what_has_no_partner_is_left_out() -> None:
    assert compare([[1.0] * 9, [1.0] * 5], [[2.0] * 4]).n == 4
    with pytest.raises(ValueError, match="partner"):
        compare([[], [1.0]], [[1.0]])


def test_one_pair_is_certain_of_nothing() -> None:
    found = compare([[1.0]], [[2.0]])
    assert (found.ratio, found.low, found.high, found.p, found.certain) == (pytest.approx(2), 0, math.inf, 1, False)
