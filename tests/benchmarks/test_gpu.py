"""The script for a GPU, dry: all but the GPU."""

import json
from pathlib import Path

import pytest

from benchmarks import gpu
from codi_export.builder import build
from codi_export.spec import AdapterSpec
from tests import tiny


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script keeps bundles, with those of a toy."""
    folder = tmp_path_factory.mktemp("work")
    model = tiny.backbone(folder / "model", "v_prediction", "dc", zero_snr=True)
    adapter = tiny.adapter(folder / "adapter", model, AdapterSpec("sr", backprojection=0.5))
    build("sr", 2, folder / "sr-fp16", model=str(model), adapter=str(adapter), precision="fp16")
    return folder


@pytest.fixture(autouse=True)
def half_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The more demanding of the two, to save CI's time."""
    monkeypatch.setattr(gpu, "PRECISIONS", ("fp16",))


def test_every_arm_does_the_same_work_and_is_timed(work: Path, tmp_path: Path) -> None:
    output = tmp_path / "results/gpu.json"
    gpu.main(["--dry", "--task", "sr", "--work", str(work), "-o", str(output)])
    report = json.loads(output.read_text())
    assert report["dry"] and report["device"] == "none: a dry run"
    assert set(report["graphs"]) == {"sr-2step-fp16"}
    assert [one["name"] for one in report["graphs"]["sr-2step-fp16"]["rows"]] == ["ours", "torch", "components"]


def test_what_is_done_is_not_done_again(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "gpu.json"
    output.write_text(json.dumps({"graphs": {"sr-2step-fp16": "kept"}}))
    gpu.main(["--dry", "--task", "sr", "--work", str(work), "-o", str(output)])
    assert capsys.readouterr().out == ""
    assert json.loads(output.read_text())["graphs"] == {"sr-2step-fp16": "kept"}
