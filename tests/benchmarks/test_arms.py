"""Other ways to run a bundle's weights give the bundle's own picture, and a benchmark runs from its command."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import arms, steps
from codi_export.builder import build
from codi_export.spec import AdapterSpec
from tests import tiny

STEPS = (1, 2)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles that the benchmarks look for, of a toy."""
    folder = tmp_path_factory.mktemp("kept")
    backbone = tiny.backbone(folder / "model")
    adapter = tiny.adapter(folder / "adapter", backbone, AdapterSpec(task="sr"))
    build("sr", list(STEPS), folder / "sr-1-2step", model=str(backbone), adapter=str(adapter))
    return folder


def test_arms_agree_and_absent_ones_say_why(kept: Path) -> None:
    bundle = arms.bundle(kept, STEPS)
    with arms.opened(bundle, 2, 1, ("torch", "components", "optimum")) as (made, missing):
        assert [arm.name for arm in made] == ["ours", "torch", "components"]
        pictures = [np.asarray(arm.call()) for arm in made]
    assert all(np.abs(p.astype(int) - pictures[0]).max() <= 1 for p in pictures) and np.ptp(pictures[0]) > 10
    assert list(missing) == ["optimum"] and "ControlNet" in missing["optimum"]


def test_an_arm_that_does_other_work_is_not_timed(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other(work: arms.Work) -> arms.Call:
        call = arms._ours(work)
        return lambda: 255 - call()

    monkeypatch.setitem(arms.MAKERS, "torch", other)
    with (
        pytest.raises(SystemExit, match=r"torch is .* levels of 255 from ours"),
        arms.opened(arms.bundle(kept, STEPS), 1, 1, ("torch",)),
    ):
        pass


def test_a_benchmark_from_its_command(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "STEPS", STEPS)
    out = str(tmp_path / "steps.json")
    steps.main(["--bundles", str(kept), "--against", "torch", "--rounds", "4", "--threads", "1", "-o", out])
    value = json.loads((tmp_path / "steps.json").read_text())
    assert list(value["groups"]) == ["ours", "1 step", "2 steps"]
    assert [row["name"] for row in value["groups"]["ours"]] == ["1 step", "2 steps"]
    assert [row["name"] for row in value["groups"]["2 steps"]] == ["ours", "torch"]
    assert "| ours | 1 step |" in capsys.readouterr().out
