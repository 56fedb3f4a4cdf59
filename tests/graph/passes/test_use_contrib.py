"""ONNX Runtime's own operators say what ours say. Its CPU has attention; for the others, functions written after
their documentation stand in, and its schemas check the types."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from codi_export.graph.passes.name_attention import NameAttention
from codi_export.graph.passes.name_geglu import NameGeglu
from codi_export.graph.passes.name_norms import NameNorms
from codi_export.graph.passes.use_contrib import UseContrib, takes_geglu, takes_norm
from tests.graph.passes import test_name_attention, test_name_geglu, test_name_norms
from tests.graph.passes.onnx_text import model, ops, run

WIDE_GEGLU = test_name_geglu.TEXT.replace(" 8] x", " 2560] x").replace("[8] b", "[2560] b").replace(" 4] y", " 1280] y")
DOCUMENTED = """
    <ir_version: 8, opset_import: ["" : 18, "documented" : 1]>
    graph () => () {}
    <domain: "documented", opset_import: ["" : 18, "documented" : 1]>
    GroupNorm <groups, epsilon, activation> (x, gamma, beta) => (y) {
        none = Constant <value_floats = [0.0]> ()
        y = documented.SkipGroupNorm <groups: int = @groups, epsilon: float = @epsilon, activation: int = @activation>
            (x, gamma, beta, none)
    }
    <domain: "documented", opset_import: ["" : 18]>
    SkipGroupNorm <groups, epsilon, activation> (x, gamma, beta, skip) => (y) {
        one = Constant <value_ints = [1]> ()
        two = Constant <value_ints = [1, 2]> ()
        wide = Cast <to = 1> (x)
        wide_skip = Cast <to = 1> (skip)
        rows = Unsqueeze (wide_skip, two)
        s = Add (wide, rows)
        shape = Shape (s)
        count = Constant <value_int: int = @groups> ()
        first = Constant <value_ints = [0]> ()
        groups = Unsqueeze (count, first)
        rest = Constant <value_ints = [-1]> ()
        same = Constant <value_ints = [0, 0, 0]> ()
        apart = Concat <axis = 0> (same, groups, rest)
        grouped = Reshape (s, apart)
        axes = Constant <value_ints = [1, 2, 4]> ()
        mean = ReduceMean (grouped, axes)
        centred = Sub (grouped, mean)
        squares = Mul (centred, centred)
        variance = ReduceMean (squares, axes)
        little = Constant <value_float: float = @epsilon> ()
        safe = Add (variance, little)
        deviation = Sqrt (safe)
        normal = Div (centred, deviation)
        flat = Reshape (normal, shape)
        scaled = Mul (flat, gamma)
        affine = Add (scaled, beta)
        activated = Constant <value_int: int = @activation> ()
        share = Cast <to = 1> (activated)
        unit = Constant <value_float = 1.0> ()
        others = Sub (unit, share)
        gate = Sigmoid (affine)
        part = Mul (gate, share)
        factor = Add (part, others)
        result = Mul (affine, factor)
        y = CastLike (result, x)
    }
    <domain: "documented", opset_import: ["" : 18]>
    BiasSplitGelu (x, bias) => (y) {
        h = Add (x, bias)
        left, right = Split <axis = -1, num_outputs = 2> (h)
        root = Constant <value_float = 0.70710678> ()
        scaled = Mul (right, root)
        error = Erf (scaled)
        one = Constant <value_float = 1.0> ()
        twice = Add (one, error)
        half = Constant <value_float = 0.5> ()
        probability = Mul (half, twice)
        active = Mul (right, probability)
        y = Mul (left, active)
    }
"""


def documented(one: ir.Model) -> ir.Model:
    """The graph with functions in place of the operators that only a GPU has."""
    functions = onnx.parser.parse_model(DOCUMENTED).functions
    names = {function.name for function in functions}
    copy = one.clone()
    for node in copy.graph:
        if node.domain == "com.microsoft" and node.op_type in names:
            node.domain = "documented"
            node.attributes.pop("channels_last", None)
    for function in functions:
        made = ir.serde.deserialize_function(function)
        copy.functions[made.identifier()] = made
    copy.opset_imports["documented"] = 1
    return copy


def require_types(one: ir.Model) -> None:
    """ONNX Runtime's schemas accept the graph; what is missing on a CPU is a kernel, and it says so last."""
    with pytest.raises(
        onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented, match=r"implementation for|Failed to find kernel"
    ):
        onnxruntime.InferenceSession(ir.to_proto(one).SerializeToString())


@pytest.mark.parametrize("half", [False, True])
def test_norms(half: bool) -> None:
    text = test_name_norms.TEXT
    if half:  # the parser takes float16 as bits: 15360 is 1
        text = text.replace("float[", "float16[").replace("ones = {1, 1, 1}", "ones = {15360, 15360, 15360}")
    one, wanted = model(text), run(model(text))
    NameNorms(takes_norm)(one)
    assert UseContrib()(one).modified
    assert [op for op in ops(one) if op != "Cast"] == ["Transpose", "Reshape", "SkipGroupNorm", "Transpose"]
    require_types(one)
    limit = 2e-2 if half else 1e-5  # the exporter's form rounds to float16 at each node, ten of them
    np.testing.assert_allclose(run(documented(one)), wanted, atol=limit)
    assert not UseContrib()(one).modified
    assert not one.functions and "codi" not in one.opset_imports


def test_a_norm_alone() -> None:
    text = test_name_norms.TEXT.replace("gate = Sigmoid (affine)\n        y = Mul (affine, gate)", "y = Exp (affine)")
    text = text.replace("moved = Add (x, t)", "moved = Mul (x, t)")
    one, wanted = model(text), run(model(text))
    NameNorms(takes_norm)(one)
    UseContrib()(one)
    assert ops(one) == ["Mul", "Transpose", "GroupNorm", "Transpose", "Exp"]
    require_types(one)
    np.testing.assert_allclose(run(documented(one)), wanted, rtol=1e-5)


def test_geglu() -> None:
    one, wanted = model(WIDE_GEGLU), run(model(WIDE_GEGLU))
    NameGeglu(takes_geglu)(one)
    UseContrib()(one)
    assert ops(one) == ["BiasSplitGelu"]
    require_types(one)
    np.testing.assert_allclose(run(documented(one)), wanted, atol=1e-5)


def test_attention() -> None:
    one, wanted = model(test_name_attention.TEXT), run(model(test_name_attention.TEXT))
    NameAttention()(one)
    UseContrib()(one)
    assert ops(one) == ["MultiHeadAttention"]
    np.testing.assert_allclose(run(one), wanted, atol=1e-6)


def test_sizes_that_its_kernels_refuse_are_not_theirs() -> None:
    """Three channels in a group, and a GEGLU that Stable Diffusion does not have."""
    odd = test_name_norms.TEXT.replace("{2, 3, -1}", "{2, 2, -1}")
    odd = odd.replace(
        "float[3] ones = {1, 1, 1}, float[3] zeros = {0, 0, 0}", "float[2] ones = {1, 1}, float[2] zeros = {0, 0}"
    )
    assert not NameNorms(takes_norm)(model(odd)).modified
    assert NameNorms()(model(odd)).modified
    assert not NameGeglu(takes_geglu)(model(test_name_geglu.TEXT)).modified
