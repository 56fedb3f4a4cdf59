"""Microseconds a call on a GPU: a CUDA graph of many calls, replayed. So Python's time is not in it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

cuda: Any = torch.cuda  # partly without types
SECONDS = 1.0  # of one measurement, about


def replayed(calls: Sequence[Callable[[], Any]], at_least: int = 50, most: int = 200) -> list[float]:
    """Samples, one a replay. The calls take turns; each has tensors of its own, and so has each of their results."""
    stream = cuda.Stream()
    with cuda.stream(stream):
        for call in calls:
            call()
            call()
        once = _milliseconds(calls[0])
    count = max(len(calls), min(at_least, int(2.0 / once) + 1))
    graph = cuda.CUDAGraph()
    with cuda.graph(graph, stream=stream):
        kept = [calls[i % len(calls)]() for i in range(count)]
    replays = max(20, min(most, int(SECONDS * 1e3 / _milliseconds(graph.replay))))
    samples = [_milliseconds(graph.replay) * 1e3 / count for _ in range(replays)]
    del kept
    return samples


def sets(least_bytes: int) -> int:
    """How many sets of tensors take over four times the L2 cache."""
    cache: int = cuda.get_device_properties(0).L2_cache_size
    return 4 * cache // least_bytes + 2


def _milliseconds(call: Callable[[], Any]) -> float:
    begin, end = (cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))
