"""How long a call takes: warm-up, then order statistics. The clock and the wait for a device are arguments."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds over n calls. Percentiles are samples (nearest rank), never interpolated."""

    p50: float
    p90: float
    p95: float
    p99: float
    min: float
    max: float
    mean: float
    n: int


def measure(
    call: Callable[[], object],
    repeats: int = 20,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
    synchronise: Callable[[], object] = lambda: None,
) -> Latency:
    """Time `call` `repeats` times after `warmup` untimed ones; `clock` gives seconds, `synchronise` waits for work."""
    for _ in range(warmup):
        call()
    return summarise([_once(call, clock, synchronise) for _ in range(repeats)])


def summarise(samples: Sequence[float]) -> Latency:
    """The statistics of one or more samples in milliseconds."""
    ordered = sorted(samples)
    n = len(ordered)

    def rank(percent: int) -> float:
        return ordered[math.ceil(percent * n / 100) - 1]

    return Latency(rank(50), rank(90), rank(95), rank(99), ordered[0], ordered[-1], math.fsum(ordered) / n, n)


def _once(call: Callable[[], object], clock: Callable[[], float], synchronise: Callable[[], object]) -> float:
    synchronise()
    start = clock()
    call()
    synchronise()
    return (clock() - start) * 1000.0
