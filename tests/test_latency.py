"""Latency with a clock that the test moves."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export.latency import measure, summarise


class Clock:
    """Each call of `work` takes one second more than the last; `wait` takes ten."""

    def __init__(self) -> None:
        self.now = 0.0
        self.costs: Iterator[int] = iter(range(1, 1000))

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.now += next(self.costs)

    def wait(self) -> None:
        self.now += 10


def test_warmup_is_not_counted() -> None:
    clock = Clock()
    latency = measure(clock.work, repeats=4, warmup=3, clock=clock)
    assert (latency.min, latency.max, latency.mean, latency.n) == (4000, 7000, 5500, 4)


def test_the_wait_for_the_device_is_counted_once_and_pending_work_before_it_is_not() -> None:
    clock = Clock()
    assert measure(clock.work, repeats=1, warmup=0, clock=clock, synchronise=clock.wait).max == 11_000


def test_percentiles_are_samples_by_nearest_rank() -> None:
    latency = summarise(range(100, 0, -1))
    assert (latency.p50, latency.p90, latency.p95, latency.p99) == (50, 90, 95, 99)
    assert summarise([3.0]).p99 == 3.0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_statistics_are_ordered(samples: list[float]) -> None:
    latency = summarise(samples)
    ordered = [latency.min, latency.p50, latency.p90, latency.p95, latency.p99, latency.max]
    assert ordered == sorted(ordered)
    assert latency.min <= latency.mean or math.isclose(latency.min, latency.mean)


def test_no_samples_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(IndexError):
        summarise([])
