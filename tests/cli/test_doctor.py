"""codi-export doctor"""

import json
from importlib import metadata
from pathlib import Path

import pytest

from codi_export.cli import doctor
from codi_export.cli.main import main

Output = pytest.CaptureFixture[str]


def test_people_see_what_is_here(capsys: Output) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert f"numpy {metadata.version('numpy')}" in text
    assert "cpu" in text


def test_machines_see_the_same(capsys: Output) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["packages"]["base"]["numpy"] == metadata.version("numpy")
    assert "cpu" in report["providers"]


def test_what_is_missing_comes_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    monkeypatch.setattr(doctor.machine, "version", lambda package: None)
    monkeypatch.setattr(doctor, "providers", list)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "torch -" in text
    assert "torch, diffusers" in text
    assert "pip install onnxruntime" in text
    assert "pip install 'codi-export[export]'" in text


def test_it_says_how_to_build_the_cpp_library(capsys: Output) -> None:
    assert main(["doctor", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["embed"]
    sources = Path(steps["build"].split()[2])
    assert {"CMakeLists.txt", "README.md"} <= {path.name for path in sources.iterdir()}
    assert list(Path(steps["run"].removeprefix("CODI_ONNXRUNTIME=")).glob("libonnxruntime.so*"))
