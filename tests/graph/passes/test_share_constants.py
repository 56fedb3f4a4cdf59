"""Equal constants become one; equal weights stay two."""

import onnx_ir as ir

from codi_export.graph.passes.share_constants import ShareConstants

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2] x) => (float[2] y)
    <float[2] a = {1, 2}, float[2] b = {1, 2}, float[2] c = {1, 3}, float[1, 2] d = {1, 2}, int64[2] e = {1, 2}>
    {
        p = Add(x, a)
        q = Mul(p, b)
        r = Mul(q, c)
        y = Add(r, a)
    }
"""


def readers(model: ir.Model) -> list[str]:
    return [str(node.inputs[1].name) for node in model.graph if node.inputs[1]]


def test_equal_values_are_shared_and_others_are_not() -> None:
    model = ir.from_onnx_text(TEXT)
    assert ShareConstants()(model).modified
    assert readers(model) == ["a", "a", "c", "a"]
    assert list(model.graph.initializers) == ["a", "c", "d", "e"], "shape and type count too"


def test_weights_are_left_alone() -> None:
    """The biases of a new adapter are all zero, and yet each has its own place in the adapter's file."""
    model = ir.from_onnx_text(TEXT)
    for name in ("a", "b"):
        model.graph.initializers[name].name = f"adapter.{name}"
    assert not ShareConstants()(model).modified
    assert readers(model) == ["adapter.a", "adapter.b", "c", "adapter.a"]


def test_a_second_time_changes_nothing() -> None:
    model = ir.from_onnx_text(TEXT)
    ShareConstants()(model)
    assert not ShareConstants()(model).modified
