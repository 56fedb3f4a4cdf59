"""The comparison of C++ and Python, on a stub."""

from pathlib import Path

import pytest

from benchmarks import embedding
from tests import fake_bundle
from tests.runtime.cpp.conftest import built, onnxruntime_folder, require


def test_both_are_measured_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    monkeypatch.setenv("CODI_ONNXRUNTIME", str(onnxruntime_folder()))
    fake_bundle.write(tmp_path / "sr-2step")
    program = built("release") / "codi/tools/codi-profile"
    report = embedding.main(program, tmp_path / "sr-2step", rounds=2, iterations=4, threads=1)
    assert report["python_over_cpp"]["n"] == 8
    for name in ("cpp", "python"):
        found = report[name]
        assert found["end_to_end_ms"] > 0
        assert found["overhead_q1"] <= found["overhead_ms"] <= found["overhead_q3"]
