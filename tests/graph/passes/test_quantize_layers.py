"""Layers in int8: where, on which scales, and how far from float32."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from codi_export.graph import passes
from codi_export.graph.passes.quantize_layers import QuantizeLayers

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[1, 2, 4, 4] x) => (float[1, 4, 4, 3] y)
    <float[3, 2, 3, 3] w, float[3] b, float[2, 3] v, float[1] last = {0}>
    {
        first = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        soft = Sigmoid(first)
        turned = Transpose <perm = [0, 2, 3, 1]> (soft)
        tv = Transpose (v)
        narrow = MatMul(turned, tv)
        y = MatMul(narrow, v)
    }
"""
LARGEST = {"unet.w": 4.0, "unet.v": 4.0}
RNG = np.random.default_rng(0)
VALUES = {"w": RNG.standard_normal((3, 2, 3, 3)), "b": RNG.standard_normal(3), "v": RNG.standard_normal((2, 3))}


def model() -> ir.Model:
    text = TEXT
    for name, value in VALUES.items():
        numbers = ", ".join(f"{number:.6f}" for number in value.astype(np.float16).ravel())
        text = text.replace(f" {name},", f" {name} = {{{numbers}}},", 1)
    made = ir.from_onnx_text(text)
    for name in VALUES:
        made.graph.initializers[name].name = f"unet.{name}.weight"
    return ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(made)))


def quantized(half: bool = False, islands: frozenset[str] = frozenset()) -> ir.Model:
    one = model()
    passes.run(one, passes.precision("int8", islands, LARGEST, half))
    return one


def stored_narrow() -> ir.Model:
    one = model()
    passes.run(one, passes.precision("int8-weights", frozenset(), LARGEST))
    return one


def run(one: ir.Model) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(one).SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).uniform(-4, 4, (1, 2, 4, 4)).astype(np.float32)
    return session.run(None, {"x": x})[0]  # type: ignore[no-any-return]


def ops(one: ir.Model, kind: str) -> int:
    return sum(node.op_type == kind for node in one.graph)


@pytest.mark.parametrize("half", [False, True])
def test_numbers(half: bool) -> None:
    """255 levels for inputs and weights: rounding errors of 2^-8 each, adding up at random over 18 products; a wrong
    axis or scale is off by tens of percent."""
    wanted, got = run(model()), run(quantized(half))
    assert 1e-4 < np.linalg.norm(got - wanted) / np.linalg.norm(wanted) < 2e-2
    onnx.checker.check_model(ir.to_proto(quantized(half)), full_check=True)


def test_weights_are_int8_with_a_scale_for_each_output_channel() -> None:
    constants = quantized().graph.initializers
    weight, scale = (constants[f"unet.w.weight_{part}"].const_value.numpy() for part in ("int8", "scale"))  # type: ignore[union-attr]
    assert weight.dtype == np.int8 and weight.shape == (3, 2, 3, 3) and scale.shape == (3,)
    assert list(np.abs(weight).max((1, 2, 3))) == [127, 127, 127], "no channel wastes levels"
    np.testing.assert_allclose(weight * scale.reshape(3, 1, 1, 1), VALUES["w"], atol=scale.max() / 2 + 2e-3)
    assert "unet.w.weight" not in constants, "stored once"
    assert constants["unet.b.weight"].dtype == ir.DataType.FLOAT16, "biases are not quantised"


def test_a_weight_that_is_read_both_ways_has_scales_for_each() -> None:
    one = quantized()
    assert ops(one, "QuantizeLinear") == 3
    assert ops(one, "DequantizeLinear") == 6


def test_layers_that_are_left_alone() -> None:
    assert ops(quantized(islands=frozenset({"unet"})), "QuantizeLinear") == 0
    assert ops(quantized(islands=frozenset({"unet.v"})), "QuantizeLinear") == 1
    one = model()
    assert not QuantizeLayers({})(one).modified, "none has a range"


def test_weights_alone_are_numbers_times_a_scale() -> None:
    """The weights' own rounding is left, and a runtime folds what is made of them: no operator of quantisation."""
    one, wanted, both = stored_narrow(), run(model()), run(quantized())
    error = np.linalg.norm(run(one) - wanted)
    assert 1e-4 < error / np.linalg.norm(wanted) < 2e-2 and error < np.linalg.norm(both - wanted)
    assert ops(one, "QuantizeLinear") == ops(one, "DequantizeLinear") == 0
    constants = one.graph.initializers
    assert constants["unet.w.weight_int8"].dtype == ir.DataType.INT8 and "unet.w.weight" not in constants
    assert ops(one, "Mul") == 3, "one weight is read both ways"
    onnx.checker.check_model(ir.to_proto(one), full_check=True)
    assert passes.run(one, passes.precision("int8-weights", frozenset(), LARGEST)) == []


def test_levels_are_unsigned_on_cpus() -> None:
    kinds = [
        {value.dtype for node in quantized(half).graph if node.op_type == "QuantizeLinear" for value in node.outputs}
        for half in (False, True)
    ]
    assert kinds == [{ir.DataType.UINT8}, {ir.DataType.INT8}]


def test_types_around_it() -> None:
    kinds = {str(value.name): value.dtype for node in quantized(half=True).graph for value in node.outputs}
    assert kinds["first"] == kinds["soft"] == ir.DataType.FLOAT16
    assert quantized().graph.opset_imports[""] == 19, "before, float16 could not be quantised"


def test_a_second_time_changes_nothing() -> None:
    one = quantized()
    assert passes.run(one, passes.precision("int8", frozenset(), LARGEST)) == []
