"""Weights become float16, their readers see float32."""

import numpy as np
import onnx_ir as ir
import pytest

from codi_export.graph.passes.store_half import StoreHalf

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2] x) => (float[2] y) <float[2] w = {0.1, 4}, float[2] c = {0.1, 4}>
    {
        a = Mul(x, w)
        b = Add(a, w)
        y = Mul(b, c)
    }
"""


def model(name: str) -> ir.Model:
    made = ir.from_onnx_text(TEXT)
    made.graph.initializers["w"].name = name
    return made


@pytest.mark.parametrize("name", ["unet.w", "adapter.w", "text.w"])
def test_a_weight_is_stored_as_half_and_read_as_float(name: str) -> None:
    one = model(name)
    assert StoreHalf()(one).modified
    weight = one.graph.initializers[name]
    assert weight.dtype == weight.const_value.dtype == ir.DataType.FLOAT16  # type: ignore[union-attr]
    np.testing.assert_array_equal(weight.const_value.numpy(), np.array([0.1, 4], np.float16))  # type: ignore[union-attr]
    assert [node.op_type for node in one.graph] == ["Cast", "Mul", "Add", "Mul"], "one cast for all readers"
    assert [user.op_type for user in weight.consumers()] == ["Cast"]


def test_constants_are_not() -> None:
    one = model("w")
    assert not StoreHalf()(one).modified
    assert one.graph.initializers["c"].dtype == ir.DataType.FLOAT


def test_a_second_time_changes_nothing() -> None:
    one = model("unet.w")
    StoreHalf()(one)
    assert not StoreHalf()(one).modified
