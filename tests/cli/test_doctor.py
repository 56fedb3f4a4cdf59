"""codi-export doctor"""

import json
from importlib import metadata
from pathlib import Path

import pytest

from codi_export.cli import doctor
from codi_export.cli.main import main
from codi_export.doctor import Nvidia

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


def test_without_a_gpu_it_says_so_in_one_line(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.nvidia, "examine", lambda: Nvidia("none"))
    assert main(["doctor"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("nvidia", "problem"))]
    assert len(lines) == 1 and "no GPU" in lines[0]


def test_problems_come_with_their_commands(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Nvidia(
        "jetson", "Orin", 87, clocks="floating", power_mode="15W", memory_bytes=32 * 10**9, free_bytes=31 * 10**9
    )
    monkeypatch.setattr(doctor.nvidia, "examine", lambda: found)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "nvidia      Orin, SM 87, TensorRT absent, mode 15W, clocks floating" in text
    assert "problem     clocks follow the load, so latency varies: sudo jetson_clocks" in text
