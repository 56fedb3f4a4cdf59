"""codi-export run, as its user sees it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codi_export.cli.main import main
from codi_export.runtime.image import read
from codi_export.runtime.opening import load
from tests import fake_bundle
from tests.fake_engines import Runtime

Output = pytest.CaptureFixture[str]


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    fake_bundle.write(tmp_path / "sr-2step")
    return str(tmp_path / "sr-2step")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_photo_in_a_larger_photo_out(bundle: str, photo: Path, out: Path, capsys: Output) -> None:
    target = out.with_suffix(".png")
    assert main(["run", bundle, str(photo), "-o", str(target), "--seed", "3"]) == 0
    np.testing.assert_array_equal(read(target).pixels, load(bundle)(read(photo).pixels, seed=3))
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{target}  120 x 80  ")
    assert captured.out.endswith(" ms\n")
    assert captured.err == ""


def test_json_has_the_promised_keys(bundle: str, photo: Path, out: Path, capsys: Output) -> None:
    target = str(out.with_suffix(".png"))
    assert main(["run", bundle, str(photo), "-o", target, "--json"]) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["outputs"] == [target]
    assert (report["provider"], report["backend"], report["seed"]) == ("cpu", "onnxruntime", 0)
    assert len(report["latency_ms"]) == 1
    assert "error" not in report
    assert target in captured.err  # the log


def test_the_same_seed_gives_the_same_bytes_alone_or_among_others(bundle: str, photo: Path, out: Path) -> None:
    (photo.parent / "another.png").write_bytes(photo.read_bytes())
    alone, both = out / "alone", out / "both"
    assert main(["run", bundle, str(photo), "-o", str(alone / "photo.png"), "--seed", "9"]) == 0
    assert main(["run", bundle, str(photo.parent), "-o", str(both), "--seed", "9"]) == 0
    first, second, third = (
        path.read_bytes() for path in (alone / "photo.png", both / "photo.png", both / "another.png")
    )
    assert first == second == third


def test_a_bad_image_among_good_ones_loses_nothing(bundle: str, photo: Path, out: Path, capsys: Output) -> None:
    empty, missing = photo.parent / "empty.png", photo.parent / "missing.png"
    empty.touch()
    inputs = [str(empty), str(missing), str(photo)]
    assert main(["run", bundle, *inputs, "-o", str(out)]) == 1
    captured = capsys.readouterr()
    errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 2
    assert str(empty) in errors[0]
    assert str(missing) in errors[1]
    assert [path.name for path in out.iterdir()] == ["photo.png"]

    assert main(["run", bundle, *inputs, "-o", str(out), "--json", "--overwrite"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [row["input"] for row in report["failed"]] == [str(empty), str(missing)]
    assert report["error"]["code"] == "bad-image"
    assert len(report["outputs"]) == 1


def test_notices_go_to_stderr(bundle: str, photo: Path, out: Path, capsys: Output) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(photo)
    assert main(["run", bundle, str(photo), "-o", str(out.with_suffix(".jpg"))]) == 0
    assert capsys.readouterr().err == f"note: {photo}: 16 bits a channel read as 8\n"


def test_a_clash_is_found_before_the_bundle_is_opened(photo: Path, capsys: Output) -> None:
    assert main(["run", "no-such-bundle", str(photo), "-o", str(photo), "--overwrite"]) == 1
    assert "is an input; inputs are never overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--task", "srr"], "unknown task 'srr'; this bundle has: sr"),
        (["--steps", "7"], "no graph with 7 steps; this bundle has: 2"),
        (["--provider", "tpu"], "unknown provider 'tpu'"),
        (["--backend", "none"], "unknown backend 'none'; available: onnxruntime"),
        (["--seed", "-1"], "seed -1: expected 0 to 2^64 - 1"),
        (["--tile", "off"], "the picture is 30 x 20, the graph takes 16 x 16"),
    ],
)
def test_wrong_choices_are_one_line_and_1(
    bundle: str, photo: Path, out: Path, option: list[str], words: str, capsys: Output
) -> None:
    assert main(["run", bundle, str(photo), "-o", str(out.with_suffix(".png")), *option]) == 1
    assert f"error: {words}" in capsys.readouterr().err
    assert not out.with_suffix(".png").exists()


def test_a_bar_is_drawn_on_a_terminal(
    bundle: str, photo: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["run", bundle, str(photo), "-o", str(out.with_suffix(".png"))]) == 0
    captured = capsys.readouterr()
    assert "photo.png" in captured.err
    assert "100%" in captured.err
    assert "%" not in captured.out


def test_an_engine_is_built_first_where_asked(
    tmp_path: Path, photo: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    Runtime().install(monkeypatch)
    fake_bundle.write(tmp_path / "two", steps=(1, 2))
    command = ["run", str(tmp_path / "two"), str(photo), "-o", str(tmp_path / "o.png"), "--backend", "tensorrt"]
    assert main(command) == 1
    assert "no engine of sr-1step" in capsys.readouterr().err
    assert main([*command, "--steps", "2", "--finalize"]) == 0
    assert "fp32-1x16x16x3-" in capsys.readouterr().err
    assert main([*command, "--steps", "2", "--overwrite"]) == 0
    assert len(list((tmp_path / "two/engines").glob("*.engine"))) == 1


def test_memory_can_be_shared_and_limited(bundle: str, photo: Path, out: Path, capsys: Output) -> None:
    private, shared = out / "private.png", out / "shared.png"
    out.mkdir()
    assert main(["run", bundle, str(photo), "-o", str(private)]) == 0
    assert main(["run", bundle, str(photo), "-o", str(shared), "--memory", "shared"]) == 0
    assert private.read_bytes() == shared.read_bytes()
    assert main(["run", bundle, str(photo), "-o", str(out / "a.png"), "--max-memory", "512"]) == 1
    assert "a memory limit is for GPU providers, not cpu" in capsys.readouterr().err
    assert main(["run", bundle, str(photo), "-o", str(out / "a.png"), "--plugin", "libmine.so"]) == 1
    assert "backend 'onnxruntime' takes no plugins" in capsys.readouterr().err
