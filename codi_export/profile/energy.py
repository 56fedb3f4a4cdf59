"""From readings to joules per picture, and to whether the device was held back."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from codi_export.profile.result import Energy, Reading
from codi_export.profile.sensors import jetson

FELL = 0.85  # of the highest clock that was seen: below it something held the device back


def energy(readings: Sequence[Reading], start_s: float, end_s: float, image_s: float) -> Energy | None:
    """The mean power between two moments, and what that is for a picture of `image_s` seconds. A counter is exact and
    comes first; else power is integrated by trapezoids. None if neither was read at least twice there."""
    inside = [reading for reading in readings if start_s <= reading.time_s <= end_s]
    counted = [(r.time_s, r.energy_j) for r in inside if r.energy_j is not None]
    powered = [r for r in inside if r.power_mw]
    if len(counted) > 1:
        (first_s, first_j), (last_s, last_j) = counted[0], counted[-1]
        mean_w, source = (last_j - first_j) / (last_s - first_s), "energy counter"
    elif len(powered) > 1:
        rails = jetson.total_rails(powered[0].power_mw)
        points = [(r.time_s, sum(r.power_mw.get(rail, 0.0) for rail in rails) / 1000) for r in powered]
        joules = sum((t - s) * (p + q) / 2 for (s, p), (t, q) in pairwise(points))
        mean_w, source = joules / (points[-1][0] - points[0][0]), " + ".join(rails)
    else:
        return None
    return Energy(source, mean_w * 1000, mean_w * image_s)


def throttled(readings: Sequence[Reading]) -> tuple[bool | None, str]:
    """Whether a sensor said so, and a sentence if it did. None: no sensor reports it."""
    said = [reading.throttling for reading in readings if reading.throttling is not None]
    reasons = list(dict.fromkeys(reason for one in said for reason in one))
    if reasons:
        share = sum(map(bool, said)) / len(said)
        return True, f"throttled ({', '.join(reasons)}) in {share:.0%} of the readings"
    return (False if said else None), ""


def fallen_clocks(readings: Sequence[Reading]) -> list[str]:
    """A sentence for each clock that fell during the measurement: its last tenth against its highest tenth."""
    sentences = []
    for name in dict.fromkeys(name for reading in readings for name in reading.clocks_mhz):
        values = [reading.clocks_mhz[name] for reading in readings if name in reading.clocks_mhz]
        few = max(1, len(values) // 10)
        high, last = sorted(values)[-few], sorted(values[-few:])[few // 2]
        if last < FELL * high:
            sentences.append(f"the {name} clock fell from {high:.0f} to {last:.0f} MHz")
    return sentences


def largest(readings: Sequence[Reading], value: Callable[[Reading], int | None]) -> int | None:
    """The peak of what was reported."""
    return max((found for reading in readings if (found := value(reading)) is not None), default=None)
