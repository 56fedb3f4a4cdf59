"""codi-export build, on what a stranger would bring: a folder of Stable Diffusion 1.5's shape, a plain ControlNet."""

import json
from pathlib import Path

import pytest

from codi_export.cli import making
from codi_export.cli.main import main
from tests import fake_bundle, tiny
from tests.fake_engines import Runtime


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("sd15")
    model = tiny.sd15_shaped(root / "model")
    adapter = tiny.plain_controlnet(root / "controlnet", model, (4, 8, 12, 16))
    return [
        "build",
        "--task",
        "sr",
        "--model",
        str(model),
        "--adapter",
        str(adapter),
        "--height",
        "64",
        "--width",
        "64",
    ]


def test_a_strangers_model_builds_runs_and_verifies(
    stranger: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bundle"
    assert main([*stranger, "--steps", "1", "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert set(report) == {"bundle", "bytes", "graphs", "seconds", "peak_rss_bytes", "reused"}
    (graph,) = report["graphs"]
    assert (graph["task"], graph["steps"], graph["sampler"], graph["precision"]) == ("sr", 1, "ddim", "fp32")
    assert graph["parity_db"] >= 60
    assert report["bytes"] == sum(p.stat().st_size for p in out.rglob("*") if p.is_file() and p.name != "codi.json")
    assert "an ordinary adapter" in printed.err
    assert "tracing" in printed.err
    assert main(["verify", str(out)]) == 0
    picture = tmp_path / "out.png"
    assert main(["run", str(out), str(Path(__file__).parents[1] / "data/lr.png"), "-o", str(picture)]) == 0
    assert picture.is_file()


def test_a_dry_run_writes_nothing(
    stranger: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*stranger, "--steps", "2", "--steps", "4", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "sr  2 steps  ddim at t = [999, 499]" in shown
    assert "image [1, 16, 16, 3] + noise [1, 4, 8, 8] -> [1, 64, 64, 3]" in shown
    assert main([*stranger, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == "sr-2step"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--steps", "5"], 2, "5 is not in the range 1<=x<=4"),
        (["--steps", "2", "--steps", "2"], 1, "expected distinct numbers"),
        (["--sampler", "euler"], 1, "unknown sampler 'euler'; available: ddim, prev"),
        (["--model", "maxi"], 1, "unknown model 'maxi'"),
        (["--height", "100"], 1, "--height 100: expected a multiple of 64"),
        (["--adapter", "/nowhere"], 1, "/nowhere has no config.json"),
    ],
)
def test_mistakes_get_one_clear_line(
    stranger: list[str],
    options: list[str],
    status: int,
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = list(stranger)
    if options[0] in ("--model", "--height"):  # which are given once
        del command[(place := command.index(options[0])) : place + 2]
    assert main([*command, *options, "-o", str(tmp_path / "out")]) == status
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_is_not_there(stranger: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    place = stranger.index("--adapter") + 1
    assert main([*stranger[:place], "/nowhere", *stranger[place + 1 :]]) == 1
    assert "/nowhere has no config.json" in capsys.readouterr().err


def test_another_folder_is_never_written_over(
    stranger: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").touch()
    assert main([*stranger, "-o", str(tmp_path), "--overwrite"]) == 1
    assert "exists and is not a bundle" in capsys.readouterr().err


def test_help_imports_no_torch(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--help"]) == 0
    assert "Example: codi-export build --task sr --steps 2" in capsys.readouterr().out


def test_what_the_target_cannot_do_is_refused_before_the_model_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "--task", "sr", "--model", "nowhere", "-o", str(tmp_path / "b")]
    assert main([*command, "--target", "cpu", "--precision", "fp16"]) == 1
    assert "only imitates fp16" in capsys.readouterr().err
    assert main([*command, "--target", "cpu"]) == 1
    captured = capsys.readouterr().err
    assert "precision: fp32, because 2 cores, AVX2 is not faster in fp16" in captured and "nowhere" in captured
    assert not (tmp_path / "b").exists()


def test_a_backend_that_builds_engines_does_so_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, out = Runtime(), tmp_path / "sr-2step"
    runtime.install(monkeypatch)
    monkeypatch.setattr(making, "make", lambda specs, folder, *_: (fake_bundle.write(folder), ({"bytes": 1}, []))[1])
    words = ["build", "--task", "sr", "-o", str(out), "--backend", "onnxruntime", "--backend", "tensorrt"]
    assert main([*words, "--json"]) == 0
    (engine,) = json.loads(capsys.readouterr().out)["engines"]
    assert engine["built"] and engine["backend"] == "tensorrt" and (out / engine["path"]).is_file()


def test_what_an_engine_needs_is_asked_for_before_the_model_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Runtime(device=None).install(monkeypatch)
    words = ["build", "--task", "sr", "--model", "nowhere", "-o", str(tmp_path / "b"), "--backend"]
    assert main([*words, "tensorrt"]) == 1
    assert "no NVIDIA GPU" in capsys.readouterr().err
    assert main([*words, "tensorrt", "--target", "rtx-4090", "--fuse", "none"]) == 1
    assert "--fuse none writes components, and tensorrt builds engines of a bundle" in capsys.readouterr().err
    assert main([*words, "tvm"]) == 1
    assert "unknown backend 'tvm'" in capsys.readouterr().err
