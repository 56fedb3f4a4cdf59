"""GEGLU is called by name, and is the same GEGLU."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes.name_geglu import NameGeglu
from tests.graph.passes.onnx_text import model, ops, run

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2, 3, 8] x, float[8] b) => (float[2, 3, 4] y)
    <float root = {1.4142135}, float half = {0.5}, float one = {1}>
    {
        h = Add (x, b)
        value, gate = Split <axis = -1, num_outputs = 2> (h)
        scaled = Div (gate, root)
        error = Erf (scaled)
        twice = Add (error, one)
        probability = Mul (half, twice)
        gelu = Mul (gate, probability)
        y = Mul (value, gelu)
    }
"""
ROUNDINGS = 1e-6  # float32, of values about 1


def test_with_its_bias() -> None:
    one, wanted = model(TEXT), run(model(TEXT))
    assert NameGeglu()(one).modified
    assert ops(one) == ["Geglu"]
    np.testing.assert_allclose(run(one), wanted, atol=ROUNDINGS)
    onnx.checker.check_model(ir.to_proto(one))
    assert not NameGeglu()(one).modified


def test_without_one() -> None:
    text = TEXT.replace("Add (x, b)", "Div (x, b)")
    one, wanted = model(text), run(model(text))
    assert NameGeglu()(one).modified
    assert ops(one) == ["Div", "Geglu"]
    np.testing.assert_allclose(run(one), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("half = {0.5}", "half = {0.6}"),
        ("root = {1.4142135}", "root = {1.5}"),
        ("y = Mul (value, gelu)", "y = Mul (gate, gelu)"),
        ("axis = -1, num_outputs = 2> (h)", "axis = 0, num_outputs = 2> (h)"),
        ("error = Erf", "error = Tanh"),
    ],
)
def test_what_is_something_else_stays(before: str, after: str) -> None:
    text = TEXT.replace(before, after)
    assert text != TEXT
    text = text.replace("float[2, 3, 4] y", "float[1, 3, 8] y") if "axis = 0" in after else text
    assert not NameGeglu()(model(text)).modified


def test_only_what_is_asked_for() -> None:
    assert not NameGeglu(lambda gated: gated.bias is None)(model(TEXT)).modified
