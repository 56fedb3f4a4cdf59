import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill import statistics
from distill.statistics import Estimate, certain, estimate, holm

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def simulated(rng: np.random.Generator, seeds: int, photos: int, spread: tuple[float, float, float]) -> np.ndarray:
    """A table of mean 0: what the seed adds, what the photo adds, and what is left."""
    shape = ((seeds, 1), (1, photos), (seeds, photos))
    return np.asarray(sum(rng.normal(0, s, size) for s, size in zip(spread, shape, strict=True)))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [(1, 0, 0), (0, 1, 0), (1, 1, 1), (0.2, 1, 1)], ids=str)
def test_intervals_hold_the_truth_as_often_as_they_say(
    seeds: int, spread: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "DRAWS", 1000)
    statistics._draws.cache_clear()
    rng = np.random.default_rng(0)
    found = [estimate(simulated(rng, seeds, 17, spread)) for _ in range(300)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert covered >= 0.91  # 95 % less three standard errors of 300 trials; more is allowed: it only costs power
    assert np.mean([one.p < 0.05 for one in found]) <= 0.09
    statistics._draws.cache_clear()


def test_a_large_difference_is_found_with_three_seeds() -> None:
    found = estimate(1 + simulated(np.random.default_rng(0), 3, 17, (0.05, 0.3, 0.3)))
    assert certain(found, holm([found.p] + [0.5] * 9)[0]) and 0.7 < found.low < found.high < 1.3


def test_one_seed_gives_an_interval_over_photos_and_no_certainty() -> None:
    found = estimate(np.random.default_rng(0).normal(5, 0.1, (1, 17)))
    assert found.seeds == 1 and 4.8 < found.low < found.high < 5.2
    assert found.p == 1 and not certain(found, holm([found.p])[0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-10, 10), scale=st.floats(0.1, 10))
def test_an_interval_moves_and_grows_with_its_figures(seed: int, shift: float, scale: float) -> None:
    table = simulated(np.random.default_rng(seed), 3, 9, (1, 1, 1))
    one, other = estimate(table), estimate(shift + scale * table)
    np.testing.assert_allclose(
        (other.mean, other.low, other.high), shift + scale * np.array([one.mean, one.low, one.high]), atol=1e-9
    )
    assert one.low <= one.mean <= one.high


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_exchanging_the_two_arms_changes_the_sign_alone(seed: int) -> None:
    table = simulated(np.random.default_rng(seed), 4, 7, (1, 1, 1)) + 0.5
    one, other = estimate(table), estimate(-table)
    np.testing.assert_allclose((one.low, one.high), (-other.high, -other.low), atol=1e-9)
    assert one.p == other.p


def test_holm_by_hand() -> None:
    # sorted: .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, .04 x 1 = .04, which may not fall below .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])


@given(values=probabilities)
def test_holm_never_helps_and_keeps_the_order(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, corrected, strict=True))
    assert all(q <= min(1, p * len(values)) for p, q in zip(values, corrected, strict=True)), "Bonferroni is stricter"
    pairs = sorted(zip(values, corrected, strict=True))
    assert [q for _, q in pairs] == sorted(q for _, q in pairs)


def test_both_conditions_are_needed() -> None:
    clear, open_ = Estimate(1, 0.5, 1.5, 0.001, 3), Estimate(1, -0.1, 2, 0.06, 3)
    assert certain(clear, 0.01) and not certain(clear, 0.05) and not certain(open_, 0.01)
