"""OpenVINO runs the file that onnxruntime runs, in float32 and, where the CPU has it, in bfloat16."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from codi_export import registry
from codi_export.backends import Backend
from codi_export.backends.openvino import BACKEND
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.noise import normal
from codi_export.runtime.verify import checks
from tests import fake_bundle

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("openvino"), reason="needs openvino")

IMAGE, NOISE = np.full((1, 16, 16, 3), 100, np.uint8), normal(0, (1, 4, 16, 16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "b")
    return tmp_path / "b"


@pytest.fixture
def graph(folder: Path) -> Path:
    return folder / "graphs/sr-2step.onnx"


def test_the_registry_finds_both() -> None:
    assert registry.get("backends", "openvino") is BACKEND
    bf16: Backend = registry.get("backends", "openvino-bf16")
    assert (bf16.name, bf16.precision) == ("openvino-bf16", "bf16")


@pytest.mark.parametrize("threads", [None, 1])
def test_a_graph_runs(graph: Path, threads: int | None) -> None:
    output = BACKEND.open(graph, "cpu", threads)({"image": IMAGE, "noise": NOISE})["output"]
    np.testing.assert_array_equal(output, fake_bundle.reference(IMAGE, NOISE))


def test_outputs_are_the_callers_own(graph: Path) -> None:
    run = BACKEND.open(graph, "cpu", 1)
    first = run({"image": IMAGE, "noise": NOISE})["output"]
    kept = first.copy()
    run({"image": 255 - IMAGE, "noise": NOISE})
    np.testing.assert_array_equal(first, kept)


def test_what_was_compiled_is_kept_and_other_weights_are_noticed(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODI_CACHE", str(tmp_path / "cache"))
    BACKEND.open(graph, "cpu", 1)
    kept = {path.name for path in (tmp_path / "cache/openvino").iterdir()}
    assert kept
    BACKEND.open(graph, "cpu", 1)
    assert {path.name for path in (tmp_path / "cache/openvino").iterdir()} == kept
    weights = graph.parent / "fake.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4:] = np.float32(0.25).tobytes()
    shutil.copy2(weights, tmp_path)
    weights.write_bytes(data)
    BACKEND.open(graph, "cpu", 1)
    assert {path.name for path in (tmp_path / "cache/openvino").iterdir()} > kept


def test_a_bundle_is_verified(folder: Path) -> None:
    assert all(check.ok for check in checks(folder, backend="openvino"))


def test_an_unknown_provider_is_answered_with_those_that_are_here(graph: Path) -> None:
    with pytest.raises(CodiError, match=r"no provider 'cuda' for fp32; available: cpu") as caught:
        BACKEND.open(graph, "cuda", None)
    assert caught.value.code is ErrorCode.UNKNOWN_NAME


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(CodiError, match="openvino cannot open") as caught:
        BACKEND.open(tmp_path / "bad.onnx", "cpu", None)
    assert caught.value.code is ErrorCode.BACKEND


def test_a_call_with_the_wrong_shape(graph: Path) -> None:
    with pytest.raises(CodiError, match="openvino cannot run"):
        BACKEND.open(graph, "cpu", 1)({"image": IMAGE[:, :8], "noise": NOISE})
