"""How fast a device could be: its peak arithmetic and its memory's pace (Williams et al. 2009, "Roofline")."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codi_export import registry
from codi_export.profile.result import Device
from codi_export.spec import TargetSpec

SIDE = 1024  # of the matrices
COPIED = 64 * 2**20  # bytes; more than caches hold
REPEATS = 12


@dataclass(frozen=True, slots=True)
class Roof:
    """FLOP/s, bytes/s, and whose they are."""

    flops_per_s: float
    bytes_per_s: float
    source: str

    def ms(self, flops: int, moved: int) -> float:
        """The least time for that much work."""
        return 1000 * max(flops / self.flops_per_s, moved / self.bytes_per_s)


def of_target(target: TargetSpec, precision: str) -> Roof:
    """A device's data sheet."""
    rate = target.rates.get(precision, target.rates["fp32"])
    return Roof(rate, target.bandwidth, f"{target.name}: {_said(rate, target.bandwidth)}, by its data sheet")


def of_device(device: Device, precision: str) -> Roof | None:
    """The target whose device this is, by name; None if none is."""
    for name in registry.names("targets"):
        target: TargetSpec = registry.get("targets", name)
        if target.compute_capability and target.device.lower() in device.name.lower():
            return of_target(target, precision)
    return None


def measured(clock: Callable[[], float] = time.perf_counter) -> Roof:
    """This processor's, in fp32: the best of a few matrix products and copies of numpy's. A second."""
    a = np.ones((SIDE, SIDE), np.float32)
    source, target = np.ones(COPIED // 4, np.float32), np.empty(COPIED // 4, np.float32)
    product = _best(lambda: a @ a, clock)
    copy = _best(lambda: np.copyto(target, source), clock)
    flops, moved = 2 * SIDE**3 / product, 2 * COPIED / copy
    return Roof(flops, moved, f"measured here: {_said(flops, moved)}, numpy's matrix product and copy in fp32")


def _best(call: Callable[[], object], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(1 + REPEATS):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times[1:])


def _said(flops_per_s: float, bytes_per_s: float) -> str:
    return f"{flops_per_s / 1e9:.0f} GFLOP/s and {bytes_per_s / 1e9:.0f} GB/s"
