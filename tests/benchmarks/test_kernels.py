"""The dry form of the kernels' measurement: every arm runs once, and ours agrees with torch's."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import kernels


def main(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["kernels.py", *options])
    kernels.main()


def test_the_gpu_part_runs_dry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results/kernels.json"
    main(monkeypatch, "gpu", "--dry", "-o", str(out))
    result = json.loads(out.read_text())
    asked = {work.name for work in kernels.works("cpu", kernels.torch.float32, 8)}
    assert result["dry"] and {row["work"] for row in result["rows"]} == asked
    assert all(row["hot"] is row["cold"] is None for row in result["rows"]), "a dry run times nothing"
    assert "| torch channels_last |" in capsys.readouterr().out


def test_host_arms_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    everything = kernels.works("cpu", kernels.torch.float32, 8)
    monkeypatch.setattr(kernels, "works", lambda *_: everything)
    monkeypatch.setattr(kernels.torch, "set_num_threads", lambda _: None)
    main(monkeypatch, "host", "--rounds", "2")
    assert "numpy and Pillow" in capsys.readouterr().out


def test_a_wrong_answer_stops_the_measurement() -> None:
    zero, one = kernels.torch.zeros(3), kernels.torch.ones(3)
    with pytest.raises(SystemExit, match="codi and torch differ by 1"):
        kernels.check(kernels.Work("wrong", 12, lambda: {"torch": lambda: zero, "codi": lambda: one}))


def test_spread_is_the_median_and_the_middle_half() -> None:
    assert kernels.spread([1.0, 2.0, 3.0, 4.0, 100.0]) == (3.0, [1.5, 52.0])
    assert kernels.spread([7.0]) == (7.0, [7.0, 7.0])
