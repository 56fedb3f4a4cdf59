"""A bfloat16 graph in float32: every result is what bfloat16 would have held."""

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from codi_export.graph.rounding import imitate_bf16
from tests.graph.passes.onnx_text import model

# the constant is written as its bits, 0.3359375
TEXT = """
    <ir_version: 10, opset_import: ["" : 22]>
    graph (float[3] x) => (float[3] y)
    <bfloat16[1] third = {16044}>
    {
        narrow = Cast <to = 16> (x)
        scaled = Mul(narrow, third)
        squared = Mul(scaled, scaled)
        y = Cast <to = 1> (squared)
    }
"""


def imitated() -> ir.Model:
    made = model(TEXT)
    for node in made.graph:
        node.name = node.outputs[0].name  # as `unroll` names them
    imitate_bf16(made)
    return made


def bf16(x: np.ndarray) -> np.ndarray:
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


def test_results_are_rounded_one_by_one() -> None:
    model = imitated()
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([1.2345678, -7.654321, 300.77], np.float32)
    got = session.run(None, {"x": x})[0]
    scaled = bf16(bf16(x) * np.float32(0.3359375))
    np.testing.assert_array_equal(got, bf16(scaled * scaled))
    assert not np.array_equal(got, bf16((bf16(x) * np.float32(0.3359375)) ** 2)), "the first product counts"


def test_values_keep_their_names() -> None:
    model = imitated()
    names = {str(value.name) for node in model.graph for value in node.outputs}
    assert {"scaled", "squared", "y"} <= names
    assert len({node.name for node in model.graph}) == len(model.graph)
