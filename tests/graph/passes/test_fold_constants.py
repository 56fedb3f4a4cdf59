"""Constants are computed, weights are not touched."""

import numpy as np
import onnx_ir as ir
import pytest

from codi_export.graph.passes.fold_constants import FoldConstants

# y = x reshaped to (Shape(x)[0], -1), plus the transpose of w
TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2, 2, 2] x) => (float[2, 4] y)
    <int64[1] rest = {-1}, int64[1] zero = {0}, int64[1] one = {1}, float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}>
    {
        shape = Shape(x)
        rows = Slice(shape, zero, one)
        target = Concat <axis = 0> (rows, rest)
        flat = Reshape(x, target)
        turned = Transpose <perm = [1, 0]> (w)
        y = Add(flat, turned)
    }
"""


def model(name: str) -> ir.Model:
    """The graph of TEXT with w called `name`."""
    made = ir.from_onnx_text(TEXT)
    made.graph.initializers["w"].name = name
    return made


def work(one: ir.Model) -> list[str]:
    return [node.op_type for node in one.graph if node.op_type != "Constant"]


def test_constants_are_computed() -> None:
    one = model("w")
    assert FoldConstants()(one).modified
    assert work(one) == ["Reshape", "Add"]
    turned = next(node for node in one.graph if node.op_type == "Add").inputs[1]
    assert turned is not None
    assert turned.const_value is not None
    np.testing.assert_array_equal(turned.const_value.numpy(), [[1, 3, 5, 7], [2, 4, 6, 8]])


@pytest.mark.parametrize("name", ["unet.w", "vae.w", "adapter.w"])
def test_a_weight_keeps_its_transpose(name: str) -> None:
    one = model(name)
    FoldConstants()(one)
    assert work(one) == ["Reshape", "Transpose", "Add"]
    assert name in one.graph.initializers


def test_a_second_time_changes_nothing() -> None:
    one = model("unet.w")
    FoldConstants()(one)
    assert not FoldConstants()(one).modified
