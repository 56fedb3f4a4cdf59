"""Sensors on a clock that the test moves."""

from collections.abc import Callable

import pytest

from codi_export.profile.energy import energy, fallen_clocks, largest, throttled
from codi_export.profile.result import Reading
from codi_export.profile.sensors import Facts, Sensor
from codi_export.profile.watch import Watch


def lost_after(times: int, reading: Reading) -> Callable[[], Reading]:
    left = iter(range(times))

    def read() -> Reading:
        if next(left, None) is None:
            raise OSError("gone")
        return reading

    return read


def test_a_sensor_that_vanishes_is_noted_and_the_others_go_on() -> None:
    now = [10.0]
    sensors = [
        Sensor("a", Facts(), lost_after(2, Reading(0, {"gpu": 1.0}))),
        Sensor("b", Facts(), lambda: Reading(0, {"cpu": 2.0})),
    ]
    watch = Watch(sensors, lambda: now[0], zero=10.0)
    for _ in range(4):
        watch.look()
        now[0] += 1
    assert watch.lost == {"a": 2.0}
    assert [reading.time_s for reading in watch.readings] == [0, 1, 2, 3]
    assert [reading.clocks_mhz for reading in watch.readings] == [{"gpu": 1, "cpu": 2}] * 2 + [{"cpu": 2}] * 2


def test_the_thread_looks_and_ends() -> None:
    watch = Watch([Sensor("a", Facts(), lambda: Reading(0))], lambda: 0.0, 0.0)
    watch.start()
    watch.stop()
    assert watch.readings


def test_joules_of_a_counter() -> None:
    readings = [Reading(t, energy_j=30 * t) for t in (0.0, 1.0, 2.0, 3.0, 9.0)]
    found = energy(readings, 1.0, 3.0, image_s=0.1)
    assert found is not None and (found.source, found.mean_mw) == ("energy counter", 30_000)
    assert found.joules_per_image == pytest.approx(30 * 0.1)


def test_joules_of_a_rail_are_the_integral_of_its_power() -> None:
    """Power rises from 10 W by 2 W a second: 10 t + t² joules."""
    readings = [Reading(t / 10, power_mw={"VDD_IN": 1000 * (10 + 2 * t / 10), "VDD_SOC": 7.0}) for t in range(41)]
    found = energy(readings, 0.0, 4.0, image_s=0.5)
    assert found is not None and found.source == "VDD_IN"
    assert found.joules_per_image == pytest.approx((10 * 4 + 4**2) / 8)


def test_without_readings_energy_is_not_reported() -> None:
    assert energy([Reading(0.5)], 0, 1, 5) is None
    assert energy([Reading(0.5, power_mw={"VDD_IN": 1.0})], 0, 1, 5) is None


def test_throttling_is_reported_denied_or_unknown() -> None:
    assert throttled([Reading(0)]) == (None, "")
    assert throttled([Reading(0), Reading(1, throttling=())]) == (False, "")
    assert throttled([Reading(0, throttling=()), Reading(1, throttling=("power cap",))]) == (
        True, "throttled (power cap) in 50% of the readings",
    )  # fmt: skip


def test_a_clock_that_falls_is_noticed_and_one_that_jitters_is_not() -> None:
    jitter = [1000.0, 990.0, 1005.0, 998.0]
    steady = [Reading(t, {"gpu": jitter[t % 4]}) for t in range(40)]
    falling = [Reading(t, {"gpu": 1000.0 if t < 20 else 612.0}) for t in range(40)]
    assert fallen_clocks(steady) == [] and fallen_clocks([]) == []
    assert fallen_clocks(falling) == ["the gpu clock fell from 1000 to 612 MHz"]


def test_peaks_ignore_what_was_not_reported() -> None:
    readings = [Reading(0, rss_bytes=5), Reading(1), Reading(2, rss_bytes=9)]
    assert largest(readings, lambda r: r.rss_bytes) == 9 and largest(readings, lambda r: r.device_bytes) is None
