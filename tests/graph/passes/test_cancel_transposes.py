"""An RMS norm over channels stays where its tensor lies, and is the same norm."""

from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes.cancel_transposes import CancelTransposes
from tests.graph.passes.onnx_text import exact, model, ops

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (double[2, 6, 3, 4] x, double[6] w, double[6] b) => (double[2, 6, 3, 4] y)
    <double two = {2}, double little = {0.001}, int64[1] last = {-1}>
    {
        t = Transpose <perm = [0, 2, 3, 1]> (x)
        square = Pow (t, two)
        mean = ReduceMean <keepdims = 1> (square, last)
        safe = Add (mean, little)
        root = Sqrt (safe)
        inverse = Reciprocal (root)
        normal = Mul (t, inverse)
        scaled = Mul (normal, w)
        moved = Add (scaled, b)
        y = Transpose <perm = [0, 3, 1, 2]> (moved)
    }
"""


run = partial(exact, x=(2, 6, 3, 4), w=(6,), b=(6,))


def test_it_is_exact() -> None:
    one, wanted = model(TEXT), run(model(TEXT))
    assert CancelTransposes()(one).modified
    assert not {"Transpose", "ReduceMean"} & set(ops(one))
    np.testing.assert_allclose(run(one), wanted, rtol=1e-13, atol=1e-13)  # float64: a few roundings
    onnx.checker.check_model(ir.to_proto(one), full_check=True)
    assert one.graph.outputs[0].name == "y"
    assert not CancelTransposes()(one).modified


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("two = {2}", "two = {3}"),
        ("perm = [0, 2, 3, 1]", "perm = [0, 3, 2, 1]"),
        ("perm = [0, 3, 1, 2]", "perm = [0, 3, 2, 1]"),
        ("root = Sqrt (safe)", "root = Exp (safe)"),
        ("normal = Mul (t, inverse)", "normal = Mul (square, inverse)"),
        ("last = {-1}", "last = {2}"),
        ("moved = Add (scaled, b)", "moved = Add (scaled, mean)"),
    ],
)
def test_what_is_something_else_stays(before: str, after: str) -> None:
    text = TEXT.replace(before, after)
    assert text != TEXT
    assert not CancelTransposes()(
        ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    ).modified


def test_half_precision_stays() -> None:
    """It is for GPUs. The parser takes float16 as bits: 16384 is 2, 5243 is .01."""
    text = TEXT.replace("double", "float16").replace("{2}", "{16384}").replace("{0.001}", "{5243}")
    assert not CancelTransposes()(model(text)).modified
    assert CancelTransposes()(model(TEXT.replace("double", "float"))).modified
