"""float16 between the first layer and the last one, float32 around them."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from codi_export.graph import passes
from codi_export.graph.passes.narrow_compute import NarrowCompute

# before the network, the network (which doubles its size by a Resize), after it
TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[1, 1, 2, 2] z, float[1] sigma) => (float[1, 1, 4, 4] x)
    <float[1, 1, 1, 1] w = {1.5}, float[1, 1, 1, 1] v = {0.7}, float[1] quarter = {0.25},
     float[4] scales = {1, 1, 2, 2}>
    {
        scaled = Mul(z, quarter)
        first = Conv(scaled, w)
        soft = Sigmoid(first)
        gated = Mul(soft, quarter)
        large = Resize <mode = "nearest"> (gated, , scales)
        last = Conv(large, v)
        x = Mul(last, sigma)
    }
"""


def model() -> ir.Model:
    made = ir.from_onnx_text(TEXT)
    for name in ("w", "v"):
        made.graph.initializers[name].name = f"unet.{name}"
    return ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(made)))


def run(one: ir.Model) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(one).SerializeToString(), providers=["CPUExecutionProvider"])
    z = np.array([[[[1, 2], [3, -4]]]], np.float32)
    return session.run(None, {"z": z, "sigma": np.array([0.3], np.float32)})[0]  # type: ignore[no-any-return]


def narrowed() -> ir.Model:
    one = model()
    assert passes.run(one, passes.precision("fp16")) == [
        "StoreHalf",
        "NarrowCompute",
        "MergeCasts",
    ]
    return one


def test_types() -> None:
    types = {str(value.name): value.dtype for node in narrowed().graph for value in node.outputs}
    half, wide = ir.DataType.FLOAT16, ir.DataType.FLOAT
    assert {types[name] for name in ("first", "soft", "gated", "large", "last")} == {half}
    assert {types[name] for name in ("scaled", "x")} == {wide}
    onnx.checker.check_model(ir.to_proto(narrowed()), full_check=True)


def test_weights_are_read_as_they_are_stored() -> None:
    one = narrowed()
    convolutions = [node for node in one.graph if node.op_type == "Conv"]
    assert [str(node.inputs[1].name) for node in convolutions if node.inputs[1]] == ["unet.w", "unet.v"]
    assert sum(node.op_type == "Cast" for node in one.graph) == 3, "in, out, and the constant that both sides read"


def test_numbers() -> None:
    """Three roundings of 2^-11 each, on values below 1."""
    wanted, got = run(model()), run(narrowed())
    assert not np.array_equal(wanted, got)
    np.testing.assert_allclose(got, wanted, rtol=3 * 2**-11)


def test_a_second_time_changes_nothing() -> None:
    one = narrowed()
    assert passes.run(one, passes.precision("fp16")) == []


def test_without_layers_nothing_changes() -> None:
    one = ir.from_onnx_text(TEXT)
    assert not NarrowCompute()(one).modified


@pytest.mark.parametrize("dtype", [ir.DataType.FLOAT16, ir.DataType.BFLOAT16])
def test_an_output_of_the_network_keeps_its_name_and_type(dtype: ir.DataType) -> None:
    one = model()
    last = next(value for node in one.graph for value in node.outputs if value.name == "last")
    one.graph.outputs[0] = last
    NarrowCompute(dtype)(one)
    (output,) = one.graph.outputs
    assert (output.name, output.dtype) == ("last", ir.DataType.FLOAT)


def test_bfloat16_is_opset_22() -> None:
    one = model()
    passes.run(one, passes.precision("bf16"))
    types = {str(value.name): value.dtype for node in one.graph for value in node.outputs}
    assert {types[name] for name in ("first", "soft", "gated", "large", "last")} == {ir.DataType.BFLOAT16}
    assert one.graph.initializers["unet.w"].dtype == ir.DataType.FLOAT16, "stored as for every precision"
    onnx.checker.check_model(ir.to_proto(one), full_check=True)
    assert passes.run(one, passes.precision("bf16")) == []
