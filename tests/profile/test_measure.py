"""On a simulated device: no test waits."""

from typing import Any

import pytest

from codi_export.profile import measure as module
from codi_export.profile.measure import measure
from codi_export.profile.result import Settings
from tests.profile.simulated import Device, interrupt


def settings(**changes: Any) -> Settings:
    return Settings(**{"scenario": "single", "iterations": 6, "duration_s": None, "runs": 1, "seed": 0, **changes})


def test_every_part_takes_what_it_takes() -> None:
    device = Device(load=500, engine_ms=[90, 10], copies=2)
    (run,) = measure(device.open, settings(), device.time).runs
    assert run.cold_load_ms == pytest.approx(500)
    assert run.first_ms == pytest.approx(92)
    assert run.end_to_end_ms == pytest.approx([12] * 6) and run.engine_ms == pytest.approx([10] * 6)
    assert run.start_s[1] - run.start_s[0] == pytest.approx(0.022)


def test_a_warm_up_goes_on_until_times_settle() -> None:
    falling = [100 * 0.9**k for k in range(40)]  # two a round: end to end, engine
    device = Device(engine_ms=[*falling, 2.0])
    (run,) = measure(device.open, settings(), device.time).runs
    assert run.stable and 10 < len(run.warmup_ms) < module.MOST_WARMUP_CALLS
    assert run.end_to_end_ms == pytest.approx([4.0] * 6)


def test_a_warm_up_that_never_settles_ends_and_says_so() -> None:
    device = Device(engine_ms=[100 * 0.97**k for k in range(200)])
    (run,) = measure(device.open, settings(), device.time).runs
    assert not run.stable and len(run.warmup_ms) == module.MOST_WARMUP_CALLS


def test_a_slow_engine_warms_up_for_a_limited_time() -> None:
    device = Device(engine_ms=[9000.0])
    (run,) = measure(device.open, settings(iterations=1), device.time).runs
    assert len(run.warmup_ms) == 1 and not run.stable


def test_iterations_are_divided_over_runs_and_each_opens_anew() -> None:
    device = Device()
    measured = measure(device.open, settings(iterations=7, runs=3), device.time)
    assert [len(run.engine_ms) for run in measured.runs] == [2, 2, 3] and device.opened == 3


def test_every_iteration_has_noise_of_its_own() -> None:
    device = Device()
    measured = measure(device.open, settings(iterations=6, runs=2, seed=40), device.time)
    assert sum(len(run.engine_ms) for run in measured.runs) == 6
    assert sorted(set(device.seeds)) == [40, 41, 42, 43, 44, 45]


def test_the_two_kinds_of_call_take_turns_in_going_first() -> None:
    device = Device()
    measure(device.open, settings(iterations=3), device.time)
    assert device.order[-6:] == ["end_to_end", "engine", "engine", "end_to_end", "end_to_end", "engine"]


def test_a_duration_ends_each_run() -> None:
    device = Device(engine_ms=[49.0], copies=2)  # an iteration takes 100 ms
    measured = measure(device.open, settings(iterations=1000, duration_s=1.0, runs=2), device.time)
    assert [len(run.engine_ms) for run in measured.runs] == [5, 5] and not measured.interrupted


@pytest.mark.parametrize("iterations", [0, 1])
def test_zero_or_one_iteration(iterations: int) -> None:
    device = Device()
    (run,) = measure(device.open, settings(iterations=iterations), device.time).runs
    assert len(run.end_to_end_ms) == len(run.engine_ms) == iterations and run.first_ms is not None


def test_ctrl_c_keeps_whole_iterations() -> None:
    calls_before = 1 + 2 * 10  # the first, and a warm-up that settles at once
    device = Device(events={calls_before + 7: interrupt})
    measured = measure(device.open, settings(), device.time)
    assert measured.interrupted
    (run,) = measured.runs
    assert len(run.end_to_end_ms) == len(run.engine_ms) == len(run.start_s) == 3


def test_ctrl_c_while_loading_or_warming_up() -> None:
    device = Device()
    measured = measure(lambda: interrupt(), settings(), device.time)  # type: ignore[arg-type, func-returns-value]
    assert measured.interrupted and measured.runs == []
    device = Device(events={0: interrupt})
    (run,) = measure(device.open, settings(), device.time).runs
    assert run.first_ms is None and run.engine_ms == ()


def test_other_failures_are_not_swallowed() -> None:
    def fail() -> None:
        raise RuntimeError("out of memory")

    device = Device(events={3: fail})
    with pytest.raises(RuntimeError, match="memory"):
        measure(device.open, settings(), device.time)


def test_progress_counts_iterations_over_all_runs() -> None:
    said: list[tuple[int, int]] = []
    device = Device()
    measure(device.open, settings(iterations=4, runs=2), device.time, lambda *numbers: said.append(numbers))
    assert said == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_stream_that_is_kept_up_with_misses_nothing() -> None:
    device = Device(engine_ms=[18.0], copies=2)  # 20 ms
    stream = measure(device.open, settings(scenario="stream", iterations=50, fps=40.0), device.time).stream
    assert stream is not None and (stream.arrived, stream.done, stream.missed) == (50, 50, 0)
    assert stream.latency_ms is not None
    assert stream.latency_ms.p50 == pytest.approx(20) and stream.latency_ms.max == pytest.approx(20)


def test_a_stream_that_is_too_fast_misses_frames() -> None:
    """A frame takes 50 ms and arrives every 20: after frame 0 (done at 50) comes frame 2 (arrived at 40)."""
    device = Device(engine_ms=[48.0], copies=2)
    stream = measure(device.open, settings(scenario="stream", iterations=101, fps=50.0), device.time).stream
    assert stream is not None and stream.arrived == 101
    assert stream.done == pytest.approx(101 * 20 / 50, abs=1) and stream.missed == 101 - stream.done
    assert stream.latency_ms is not None and stream.latency_ms.min >= 50 - 1e-6 and stream.latency_ms.max <= 70 + 1e-6


def test_ctrl_c_in_a_stream_keeps_its_frames() -> None:
    before = 1 + 2 * 10 + 2 * 5
    device = Device(events={before + 3: interrupt})
    measured = measure(device.open, settings(scenario="stream", iterations=5, fps=10.0), device.time)
    assert measured.interrupted and measured.stream is not None and measured.stream.done == 3
