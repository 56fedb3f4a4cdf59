"""GroupNorm is called by name, and is the same GroupNorm."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes.name_norms import NameNorms
from tests.graph.passes.onnx_text import model, ops, run

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2, 6, 3, 4] x, float[2, 6, 1, 1] t, float[6] w, float[6] b) => (float[2, 6, 3, 4] y)
    <int64[3] grouped = {2, 3, -1}, int64[4] shape = {2, 6, 3, 4}, int64[2] axes = {1, 2},
     float[3] ones = {1, 1, 1}, float[3] zeros = {0, 0, 0}>
    {
        moved = Add (x, t)
        groups = Reshape (moved, grouped)
        normal = InstanceNormalization <epsilon = 0.001> (groups, ones, zeros)
        shaped = Reshape (normal, shape)
        rows = Unsqueeze (w, axes)
        offsets = Unsqueeze (b, axes)
        scaled = Mul (shaped, rows)
        affine = Add (scaled, offsets)
        gate = Sigmoid (affine)
        y = Mul (affine, gate)
    }
"""
ROUNDINGS = 1e-5  # float32: another order of the sums of 24 numbers


def test_with_its_activation_and_what_is_added_before() -> None:
    one, wanted = model(TEXT), run(model(TEXT))
    assert NameNorms()(one).modified
    assert ops(one) == ["Transpose", "Reshape", "GroupNormSilu", "Transpose"]
    np.testing.assert_allclose(run(one), wanted, atol=ROUNDINGS)
    onnx.checker.check_model(ir.to_proto(one))
    assert one.graph.outputs[0].name == "y", "the result keeps its name, which says where it belongs"
    assert not NameNorms()(one).modified


def test_alone() -> None:
    text = TEXT.replace("gate = Sigmoid (affine)\n        y = Mul (affine, gate)", "y = Exp (affine)")
    text = text.replace("moved = Add (x, t)", "moved = Mul (x, t)")
    one, wanted = model(text), run(model(text))
    assert NameNorms()(one).modified
    assert ops(one) == ["Mul", "Transpose", "GroupNorm", "Transpose", "Exp"]
    np.testing.assert_allclose(run(one), wanted, rtol=ROUNDINGS)


def test_in_three_dimensions() -> None:
    text = (
        TEXT.replace("3, 4]", "12]")
        .replace("6, 1, 1]", "6, 1]")
        .replace("int64[4] shape = {2, 6, 3, 4}", "int64[3] shape = {2, 6, 12}")
    )
    text = text.replace("int64[2] axes = {1, 2}", "int64[1] axes = {1}")
    one, wanted = model(text), run(model(text))
    assert NameNorms()(one).modified
    assert ops(one) == ["Add", "Transpose", "GroupNormSilu", "Transpose"]
    np.testing.assert_allclose(run(one), wanted, atol=ROUNDINGS)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ones = {1, 1, 1}", "ones = {1, 2, 1}"),
        ("zeros = {0, 0, 0}", "zeros = {0, 1, 0}"),
        ("scaled = Mul (shaped, rows)", "scaled = Div (shaped, rows)"),
        ("offsets = Unsqueeze (b, axes)", "again = Reshape (normal, shape)\n offsets = Add (again, again)"),
    ],
)
def test_what_is_something_else_stays(before: str, after: str) -> None:
    assert not NameNorms()(model(TEXT.replace(before, after))).modified


def test_only_what_is_asked_for() -> None:
    assert not NameNorms(lambda norm: norm.groups != 3)(model(TEXT)).modified
