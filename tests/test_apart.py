"""A graph in a process of its own gives what it gives here."""

import logging
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from codi_export import apart
from codi_export.backends.onnxruntime import open_graph
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.noise import normal
from tests import fake_bundle


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path)
    return tmp_path / "graphs/sr-2step.onnx"


def test_outputs_come_back_in_order(graph: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Inputs need not be contiguous; more than ten, because files are sorted by name."""
    image = np.full((1, 16, 16, 3), 100, np.uint8)
    inputs = [{"image": image[:, ::-1], "noise": normal(seed, (1, 4, 16, 16))} for seed in range(12)]
    with caplog.at_level(logging.INFO, "codi_export.apart"):
        outputs = apart.run(graph, inputs)
    for given, output in zip(inputs, outputs, strict=True):
        np.testing.assert_array_equal(output["output"], open_graph(graph)(given)["output"])
    assert "sr-2step.onnx: at most" in caplog.text


def test_large_weights_stay_mapped(graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def shared(path: Path, in_order: bool) -> object:
        opened.append(path)
        return open_graph(path)

    monkeypatch.setattr(apart.onnxruntime, "open_shared", shared)
    monkeypatch.setattr(apart, "LARGE", 1)
    apart.main(graph, tmp_path)
    assert opened == [graph]


def test_what_outputs_read_is_not_held_to_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """40 values of 16 MB in a row, of each the largest number is an output: alive are a few, on top of Python's 70 MB;
    all of them are 640 MB."""
    lines = [f"v{k + 1} = Sin(v{k})\n r{k} = ReduceMax<keepdims = 0>(v{k + 1})" for k in range(40)]
    outputs = ", ".join(f"float r{k}" for k in range(40))
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float[2048, 2048] v0) => ({outputs}) {{ {" ".join(lines)} }}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "ranges.onnx")
    with caplog.at_level(logging.INFO, "codi_export.apart"):
        apart.run(tmp_path / "ranges.onnx", [{"v0": np.ones((2048, 2048), np.float32)}])
    (record,) = caplog.records
    assert isinstance(record.args, tuple) and int(str(record.args[1])) < 300e6


def test_a_graph_that_cannot_be_opened(graph: Path) -> None:
    graph.write_bytes(b"not a graph")
    with pytest.raises(CodiError, match=r"sr-2step\.onnx cannot be run: .*onnxruntime cannot open") as raised:
        apart.run(graph, [])
    assert raised.value.code is ErrorCode.BACKEND
