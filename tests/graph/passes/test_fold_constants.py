"""Constants are computed, weights are not touched."""

import numpy as np
import onnx_ir as ir
import pytest
from onnx_ir.passes import InPlacePass

from codi_export.graph.passes.fold_constants import FoldConstants


def model(weight: str) -> ir.Model:
    """y = x reshaped to (Shape(x)[0], -1), plus the transpose of a 4 x 2 constant."""
    text = f"""
        <ir_version: 8, opset_import: ["" : 18]>
        graph (float[2, 2, 2] x) => (float[2, 4] y) <int64[1] rest = {{-1}}, int64[1] zero = {{0}}, int64[1] one = {{1}}>
        {{
            shape = Shape(x)
            rows = Slice(shape, zero, one)
            target = Concat <axis = 0> (rows, rest)
            flat = Reshape(x, target)
            turned = Transpose <perm = [1, 0]> (unet_w)
            y = Add(flat, turned)
        }}
    """
    made = ir.from_onnx_text(text.replace("one = {1}>", "one = {1}, float[4, 2] unet_w = {1, 2, 3, 4, 5, 6, 7, 8}>"))
    made.graph.initializers["unet_w"].name = weight
    return made


def ops(one: ir.Model) -> list[str]:
    return [node.op_type for node in one.graph]


def test_shape_arithmetic_becomes_a_constant() -> None:
    one = model("plain")
    assert FoldConstants()(one).modified
    assert ops(one) == ["Reshape", "Add"]
    shape = next(iter(one.graph)).inputs[1]
    assert shape is not None
    assert shape.const_value is not None
    np.testing.assert_array_equal(shape.const_value.numpy(), [2, -1])


@pytest.mark.parametrize("name", ["unet.w", "vae.w", "adapter.w"])
def test_a_weight_keeps_its_transpose(name: str) -> None:
    one = model(name)
    FoldConstants()(one)
    assert ops(one) == ["Reshape", "Transpose", "Add"]
    assert name in one.graph.initializers


def test_a_second_time_changes_nothing() -> None:
    one, fold = model("unet.w"), FoldConstants()
    assert isinstance(fold, InPlacePass)
    fold(one)
    assert not fold(one).modified
