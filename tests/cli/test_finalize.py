"""codi-export finalize"""

import json
from pathlib import Path

import pytest

from codi_export import remote
from codi_export.cli.main import main
from tests import fake_bundle
from tests.fake_engines import Runtime

Output = pytest.CaptureFixture[str]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    made = Runtime()
    made.install(monkeypatch)
    return made


def test_people_see_each_engine_and_how_it_was_checked(tmp_path: Path, runtime: Runtime, capsys: Output) -> None:
    fake_bundle.write(tmp_path)
    assert (
        main(["finalize", str(tmp_path), "--backend", "tensorrt", "--workspace", "512", "--level", "5", "--stripped"])
        == 0
    )
    text = capsys.readouterr().out
    assert text.startswith("engines/sm87-tensorrt10.3.0-fp32-1x16x16x3-")
    assert "built in 0 s; equal to torch's output" in text
    options = runtime.asked[0][1]
    assert (options.workspace_bytes, options.level, options.stripped) == (512 * 2**20, 5, True)


def test_machines_see_the_sidecars(tmp_path: Path, runtime: Runtime, capsys: Output) -> None:
    fake_bundle.write(tmp_path)
    for built in (True, False):
        assert main(["finalize", str(tmp_path), "--backend", "tensorrt", "--json"]) == 0
        (engine,) = json.loads(capsys.readouterr().out)["engines"]
        assert engine["built"] is built and engine["sm"] == 87 and engine["kernels"] == {"gemm": 3}


def test_without_a_gpu_it_says_so(tmp_path: Path, runtime: Runtime, capsys: Output) -> None:
    runtime.device = None
    fake_bundle.write(tmp_path)
    assert main(["finalize", str(tmp_path), "--backend", "tensorrt"]) == 1
    assert "no NVIDIA GPU" in capsys.readouterr().err


def test_without_the_package_it_names_it(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    fake_bundle.write(tmp_path)
    assert main(["finalize", str(tmp_path), "--backend", "tensorrt"]) == 1
    captured = capsys.readouterr().err
    assert "tensorrt is not installed" in captured and "pip install 'codi-export[tensorrt]'" in captured


def test_another_machine_gets_the_same_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    asked = []
    monkeypatch.setattr(remote, "finalize", lambda folder, host, words: asked.append(words) or "done\n")
    words = ["--backend", "tensorrt", "--level", "2", "--timing-cache", "a.timing", "--graph", "sr-2step"]
    words += ["--plugin", "libmine.so", "--stripped", "--swappable", "--json"]
    assert main(["finalize", str(tmp_path), "--remote", "ssh://me@jetson", *words]) == 0
    assert asked == [words]
    assert capsys.readouterr().out == "done\n"
