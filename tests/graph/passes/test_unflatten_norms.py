"""The norm of a row of pixels becomes the norm of the picture, of the same numbers."""

from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes.unflatten_norms import UnflattenNorms
from tests.graph.passes.onnx_text import exact, model, ops

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (double[2, 6, 3, 4] x, double[6] w, double[6] b) => (double[2, 12, 6] y)
    <int64[3] flat = {2, 6, 12}, int64[3] grouped = {2, 3, -1}, int64[1] axis = {1},
     double[3] ones = {1, 1, 1}, double[3] zeros = {0, 0, 0}>
    {
        pixels = Reshape (x, flat)
        tokens = Transpose <perm = [0, 2, 1]> (pixels)
        again = Transpose <perm = [0, 2, 1]> (tokens)
        groups = Reshape (again, grouped)
        normal = InstanceNormalization <epsilon = 0.001> (groups, ones, zeros)
        shaped = Reshape (normal, flat)
        rows = Unsqueeze (w, axis)
        scaled = Mul (shaped, rows)
        offsets = Unsqueeze (b, axis)
        moved = Add (scaled, offsets)
        y = Transpose <perm = [0, 2, 1]> (moved)
    }
"""


run = partial(exact, x=(2, 6, 3, 4), w=(6,), b=(6,))


def test_it_is_exact() -> None:
    one, wanted = model(TEXT), run(model(TEXT))
    assert UnflattenNorms()(one).modified
    node = next(node for node in one.graph if node.op_type == "Add")
    assert node.outputs[0].shape == (2, 6, 3, 4) and ops(one)[-2:] == ["Reshape", "Transpose"]
    np.testing.assert_allclose(run(one), wanted, rtol=1e-13, atol=1e-13)  # float64: a few roundings
    onnx.checker.check_model(ir.to_proto(one), full_check=True)
    assert not UnflattenNorms()(one).modified


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("again = Transpose <perm = [0, 2, 1]> (tokens)", "again = Reshape (tokens, flat)"),
        ("ones = {1, 1, 1}", "ones = {1, 1, 2}"),
        ("double[2, 6, 3, 4] x", "double[2, 6, 12] x"),
    ],
)
def test_what_is_something_else_stays(before: str, after: str) -> None:
    text = TEXT.replace(before, after)
    assert text != TEXT
    assert not UnflattenNorms()(model(text)).modified
