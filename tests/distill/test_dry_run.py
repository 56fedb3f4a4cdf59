import json
from pathlib import Path

import pytest

from codi_export.cli.main import main

WORDS = ["--width", "16", "--held-out-photos", "2", "--held-out-scenes", "2", "--crops", "32", "--shares", "1"]


def command(pack: Path, model: Path, *words: str) -> list[str]:
    return ["distill", "--task", "sr", "--model", str(model), "--data", str(pack), "--dry-run", *WORDS, *words]


def test_it_measures_real_steps_and_saves_nothing(
    pack: Path, toy_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command(pack, toy_backbone, "--json", "--steps", "1000", "--seconds", "0", "-o", "sr")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["trained_bytes"] == 4 * found["trained_parameters"] > 0
    moments = 2 * found["trained_bytes"]
    assert 0 < found["optimizer_bytes"] - moments < 0.01 * moments  # and a step count for each tensor
    assert found["average_bytes"] == 2 * found["trained_bytes"]
    assert found["peak_of"] in ("process", "gpu") and found["peak_bytes"] > found["estimate_bytes"] > moments
    assert found["seconds_per_step"] > 0
    assert found["budget_seconds"] == pytest.approx(1000 * found["seconds_per_step"], rel=0.01)
    assert list(tmp_path.iterdir()) == []


def test_it_says_so_to_people_and_the_clock_may_end_the_budget(
    pack: Path, toy_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(pack, toy_backbone, "--steps", "1000000000", "--seconds", "7200", "--mode", "full")) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == [
        "trained", "frozen", "optimiser", "averages", "estimate", "peak", "speed", "budget",
    ]  # fmt: skip
    assert "2.00 h" in rows[-1]


def test_training_needs_a_place_for_the_adapter(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "--task", "sr", "--data", str(pack)]) == 2
    assert "only --dry-run does without" in capsys.readouterr().err
