"""The protocol, on a clock that the arms move."""

import gc
import json
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.compare import PAUSE_S, WARMUP, WITNESS, Arm, noise, options, paired, parser, rows

interleave = partial(compare.interleave, pause=lambda: None)


class Machine:
    """Arms that take the given milliseconds, times what `pace` says of the n-th call."""

    def __init__(self, pace: float = 0.0) -> None:
        self.now, self.pace, self.called = 0.0, pace, []

    def arm(self, name: str, ms: float) -> Arm:
        def call() -> None:
            self.called.append(name)
            self.now += ms / 1000 * (1 + self.pace * len(self.called))

        return Arm(name, call)

    def clock(self) -> float:
        return self.now


def test_every_arm_runs_once_a_round_and_the_first_twice() -> None:
    machine = Machine()
    samples = interleave([machine.arm("a", 10), machine.arm("b", 30)], 20, clock=machine.clock)
    assert {name: len(times) for name, times in samples.items()} == {"a": 20, "b": 20, WITNESS: 20}
    assert Counter(machine.called) == {"a": 2 * (20 + WARMUP), "b": 20 + WARMUP}
    assert samples["b"] == pytest.approx([30] * 20)


def test_the_order_is_drawn_anew_each_round_and_repeats_with_the_seed() -> None:
    def order(seed: int) -> list[str]:
        machine = Machine()
        interleave([machine.arm("a", 1), machine.arm("b", 1), machine.arm("c", 1)], 20, seed, machine.clock)
        return machine.called

    assert order(0) == order(0) != order(1)
    calls = order(0)
    firsts = Counter(calls[index] for index in range(0, len(calls), 4))
    assert min(firsts.values()) >= 2


def test_a_machine_that_slows_down_does_not_favour_an_arm() -> None:
    """Everything takes three times as long in the end; one after the other, b would seem 1.9 times as slow as a."""
    machine = Machine(pace=2 / 120)
    samples = interleave([machine.arm("a", 10), machine.arm("b", 10)], 40, clock=machine.clock)
    found = paired(samples["a"], samples["b"])
    assert not found.certain and found.ratio == pytest.approx(1, abs=0.03)


def test_rows_are_ratios_to_the_first() -> None:
    machine = Machine(pace=0.001)
    first, second = rows(interleave([machine.arm("a", 10), machine.arm("b", 25)], 30, clock=machine.clock))
    assert (first.name, first.ratio, second.name) == ("a", 1, "b")
    assert second.low <= second.ratio <= second.high and second.ratio == pytest.approx(2.5, rel=0.02)


def test_a_quiet_machine_is_not_called_noisy() -> None:
    machine = Machine()
    assert noise(interleave([machine.arm("a", 10)], 20, clock=machine.clock)) == []


def test_noise_is_said() -> None:
    even = [10.0, 12.0] * 10
    assert "differs from itself" in noise({"a": [10.0] * 20, WITNESS: [11.0] * 20})[0]
    assert "no better than" in noise({"a": even, WITNESS: even[:5] + even[6:] + [10.0]})[0]
    assert "p95" in noise({"a": [10.0] * 18 + [30.0] * 2, WITNESS: [10.0] * 18 + [30.0] * 2})[0]


def test_other_work_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opts = options(parser("about").parse_args(["--rounds", "2", "-o", str(tmp_path / "x.json")]))
    for busy, said in ((0.1, False), (1000.0, True), (None, False)):
        monkeypatch.setattr(compare.machine, "others_at_work", lambda busy=busy: busy)
        marks = compare.run("x", {"": [Machine().arm("ours", 1)]}, opts).marks
        assert any("when it began" in mark for mark in marks) == said


def test_garbage_is_collected_between_rounds_only() -> None:
    seen: list[bool] = []
    interleave([Arm("a", lambda: seen.append(gc.isenabled()))], 2)
    assert seen == [False] * 2 * (2 + WARMUP) and gc.isenabled()


def test_an_unknown_arm_is_refused() -> None:
    parsed = parser("about", ("torch",)).parse_args(["--against", "torch,tensorflow"])
    with pytest.raises(SystemExit, match="tensorflow: expected torch"):
        options(parsed, ("torch",))


def test_what_is_saved_has_all_that_repeating_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opts = options(parser("about").parse_args(["--rounds", "4", "-o", str(tmp_path / "x.json")]))
    machine = Machine()
    outcome = compare.run("x", {"2 steps": [machine.arm("ours", 1)]}, opts, {"size": 64}, {"torch": "absent"})
    compare.finish(outcome, opts)
    value = json.loads((tmp_path / "x.json").read_text())
    assert {"processor", "cores", "python", "packages", "commit", "threads", "date", "others_at_work"} <= set(
        value["environment"]
    )
    assert value["settings"] == {"rounds": 4, "warmup": WARMUP, "pause_s": PAUSE_S, "seed": 0, "size": 64}
    assert value["not_run"] == {"torch": "absent"} and len(value["samples"]["2 steps"]["ours"]) == 4
    assert "not run: torch: absent" in capsys.readouterr().out
