"""The time to a first picture is that of a process from its creation, with caches of its own."""

import json
from pathlib import Path

import pytest

from benchmarks import cold_start
from benchmarks.cold_start import Start
from codi_export.builder import build
from codi_export.spec import AdapterSpec
from tests import tiny


def test_a_child_says_when_it_had_a_picture_and_its_peak(tmp_path: Path) -> None:
    backbone = tiny.backbone(tmp_path / "model")
    adapter = tiny.adapter(tmp_path / "adapter", backbone, AdapterSpec(task="sr"))
    build("sr", [cold_start.STEPS], tmp_path / "sr", model=str(backbone), adapter=str(adapter))
    started = cold_start.start("ours", tmp_path / "sr", 1, tmp_path / "caches")
    assert started.arm == "ours" and started.seconds > 0.01 and started.peak_bytes > 20e6


def test_a_child_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: ours: [\s\S]*codi.json"):
        cold_start.start("ours", tmp_path, 1, tmp_path)


def test_every_round_begins_with_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    caches: list[Path] = []

    def start(arm: str, folder: Path, threads: int, cache: Path) -> Start:
        caches.append(cache)
        return Start(arm, {"built": 15.0, "compile": 100.0}.get(arm, len(caches)), 10**8 * len(arm))

    monkeypatch.setattr(cold_start, "start", start)
    cold_start.main(["--against", "compile", "--rounds", "3", "-o", str(tmp_path / "x.json")])
    starts = json.loads((tmp_path / "x.json").read_text())["starts"]
    assert len(set(caches)) == 3 and [one["arm"] for one in starts[::4]] == ["built"] * 3
    for index, one in enumerate(starts):
        assert one["arm"] != "compile again" or starts[index - 1]["arm"] == "compile"
    assert "| built | 15.0 | 15.0 to 15.0 | 500 |" in capsys.readouterr().out
