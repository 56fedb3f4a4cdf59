"""Attention is called by name, and is the same attention."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes.name_attention import NameAttention
from tests.graph.passes.onnx_text import model, ops, run

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2, 5, 8] q, float[2, 3, 8] k, float[2, 3, 8] v) => (float[2, 5, 8] y)
    <int64[4] apart = {2, -1, 2, 4}, int64[3] flat = {4, 3, 4}, int64[4] turned = {2, 2, 4, 3},
     int64[3] together = {2, 5, 8}, float s = {0.70710678}>
    {
        q4 = Reshape (q, apart)
        qh = Transpose <perm = [0, 2, 1, 3]> (q4)
        k4 = Reshape (k, apart)
        kh = Transpose <perm = [0, 2, 1, 3]> (k4)
        v4 = Reshape (v, apart)
        vh = Transpose <perm = [0, 2, 1, 3]> (v4)
        rows = Reshape (kh, flat)
        columns = Transpose <perm = [0, 2, 1]> (rows)
        kt = Reshape (columns, turned)
        qs = Mul (qh, s)
        ks = Mul (kt, s)
        scores = MatMul (qs, ks)
        weights = Softmax <axis = -1> (scores)
        mixed = MatMul (weights, vh)
        back = Transpose <perm = [0, 2, 1, 3]> (mixed)
        y = Reshape (back, together)
    }
"""


def test_it_is_one_call() -> None:
    one, wanted = model(TEXT), run(model(TEXT))
    assert NameAttention()(one).modified
    assert ops(one) == ["Attention"]
    node = next(iter(one.graph))
    assert (node.attributes.get_int("heads"), node.attributes.get_float("scale")) == (2, pytest.approx(0.5))
    np.testing.assert_allclose(run(one), wanted, atol=1e-6)  # float32, of values about 1
    onnx.checker.check_model(ir.to_proto(one))
    assert not NameAttention()(one).modified


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("mixed = MatMul (weights, vh)", "mixed = MatMul (scores, vh)"),
        ("mixed = MatMul (weights, vh)", "more = Exp (weights)\n mixed = MatMul (weights, vh)"),
        ("columns = Transpose <perm = [0, 2, 1]> (rows)", "columns = Identity (rows)"),
        ("back = Transpose <perm = [0, 2, 1, 3]> (mixed)", "back = Transpose <perm = [0, 2, 3, 1]> (mixed)"),
    ],
)
def test_what_is_something_else_stays(before: str, after: str) -> None:
    text = TEXT.replace(before, after)
    assert text != TEXT
    assert not NameAttention()(model(text)).modified
