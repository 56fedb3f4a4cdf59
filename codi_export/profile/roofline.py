"""How fast a device could be: its peak arithmetic and its memory's pace (Williams et al. 2009, "Roofline")."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from codi_export import registry
from codi_export.profile.result import Device
from codi_export.targets import TargetSpec

SIDE = 1024  # of the matrices
COPIED = 64 * 2**20  # bytes; more than caches hold
REPEATS = 12


@dataclass(frozen=True, slots=True)
class Roof:
    """FLOP/s, bytes/s, and whose they are. `measured`: here, so it is a lower bound of what the device could do."""

    flops_per_s: float
    bytes_per_s: float
    origin: str
    measured: bool = False

    def ms(self, flops: int, moved: int) -> float:
        """The least time for that much work."""
        return 1000 * max(flops / self.flops_per_s, moved / self.bytes_per_s)

    def at_least(self, flops_per_s: float) -> "Roof":
        """Raised, if something did more than this."""
        return replace(self, flops_per_s=max(self.flops_per_s, flops_per_s))

    @property
    def source(self) -> str:
        """For people."""
        return f"{self.origin}, {self.flops_per_s / 1e9:.0f} GFLOP/s and {self.bytes_per_s / 1e9:.0f} GB/s"


def of_target(target: TargetSpec, precision: str) -> Roof:
    """A device's data sheet."""
    rate = target.rates.get(precision, target.rates["fp32"])
    return Roof(rate, target.bandwidth, f"{target.name}'s data sheet")


def of_device(device: Device, precision: str) -> Roof | None:
    """The target whose device this is, by name; None if none is."""
    for name in registry.names("targets"):
        target: TargetSpec = registry.get("targets", name)
        if target.compute_capability and target.device.lower() in device.name.lower():
            return of_target(target, precision)
    return None


def measured(clock: Callable[[], float] = time.perf_counter) -> Roof:
    """This processor's, in fp32: the best of a few matrix products and copies of numpy's. A second.

    Copies go to memory; a node whose tensors lie in a cache can be above that roof.
    """
    a = np.ones((SIDE, SIDE), np.float32)
    source, target = np.ones(COPIED // 4, np.float32), np.empty(COPIED // 4, np.float32)
    product = _best(lambda: a @ a, clock)
    copy = _best(lambda: np.copyto(target, source), clock)
    flops, moved = 2 * SIDE**3 / product, 2 * COPIED / copy
    return Roof(flops, moved, "the best measured here (products, copies and the nodes themselves)", measured=True)


def _best(call: Callable[[], object], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(1 + REPEATS):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times[1:])
