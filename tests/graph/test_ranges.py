"""What a graph says of its values is what they were."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from codi_export.graph import ranges
from tests.graph.passes import onnx_text

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2] noise) => (float[2] y)
    <float[2, 2] w = {1, 0, 0, -3}, float[2] half = {0.5, 0.5}>
    {
        a = Mul(noise, half)
        b = MatMul(a, w)
        fixed = Mul(half, half)
        c = Mul(b, fixed)
        d = MatMul(c, w)
        y = Neg(d)
    }
"""


def model() -> ir.Model:
    """Two steps that share a weight."""
    one = onnx_text.model(TEXT)
    one.graph.initializers["w"].name = "unet.conv.weight"
    for node, name in zip(one.graph, ("step1/a", "step1/b", "fixed", "step2/a", "step2/b", "end/y"), strict=True):
        if node.outputs[0].name != "y":
            node.outputs[0].name = name
    return one


def outputs(tmp_path: Path) -> list[dict[str, np.ndarray]]:
    probe = model()
    ranges.add_ranges(probe)
    ir.save(probe, tmp_path / "probe.onnx")
    session = ort.InferenceSession(tmp_path / "probe.onnx", providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    calls = (np.array(given, np.float32) for given in ([2, 1], [-1, 4]))
    return [dict(zip(names, session.run(None, {"noise": call}), strict=True)) for call in calls]


def test_nodes_over_calls_and_steps(tmp_path: Path) -> None:
    found = ranges.largest(model(), outputs(tmp_path))
    assert found["a"] == 6, "read: 4 by the first step, 6 by the second"
    assert found["b"] == 6
    assert ("fixed" not in found and "" not in found) or found.get("") != 0.25


def test_layers_are_known_by_what_they_read(tmp_path: Path) -> None:
    assert ranges.largest_read(model(), outputs(tmp_path)) == {"unet.conv": 2.0}


def test_what_follows_from_constants_has_no_range(tmp_path: Path) -> None:
    assert not [name for name in outputs(tmp_path)[0] if name.startswith("fixed")]
