"""Convolving and unshuffling becomes one convolution of the same numbers."""

from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes import merge_unshuffling
from codi_export.graph.passes.merge_unshuffling import MergeUnshuffling
from tests.graph.passes.onnx_text import exact, model, ops

PLAIN = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (double[1, 4, 6, 4] x, double[2, 4, 3, 3] w, double[2] b) => (double[1, 8, 3, 2] y)
    <int64[4] same = {-1, 2, 6, 4}, int64[6] blocks = {-1, 2, 3, 2, 2, 2}, int64[4] small = {-1, 8, 3, 2}>
    {
        large = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        again = Reshape (large, same)
        apart = Reshape (again, blocks)
        turned = Transpose <perm = [0, 1, 3, 5, 2, 4]> (apart)
        y = Reshape (turned, small)
    }
"""
WITH_MEAN = (
    PLAIN.replace("y = Reshape (turned, small)", """
        z = Reshape (turned, small)
        own_blocks = Reshape (x, blocks_of_x)
        own_turned = Transpose <perm = [0, 1, 3, 5, 2, 4]> (own_blocks)
        own = Reshape (own_turned, small_x)
        pairs = Reshape (own, grouped)
        mean = ReduceMean <keepdims = 0> (pairs, second)
        y = Add (z, mean)
""")
    .replace("int64[4] same", "int64[6] blocks_of_x = {-1, 4, 3, 2, 2, 2}, int64[4] small_x = {-1, 16, 3, 2},\n"
             "     int64[5] grouped = {-1, 8, 2, 3, 2}, int64[1] second = {2}, int64[4] same")
)  # fmt: skip


run = partial(exact, x=(1, 4, 6, 4), w=(2, 4, 3, 3), b=(2,))


@pytest.mark.parametrize("text", [PLAIN, WITH_MEAN, PLAIN.replace("(x, w, b)", "(x, w)")])
def test_it_is_exact(text: str) -> None:
    one, wanted = model(text), run(model(text))
    assert MergeUnshuffling()(one).modified
    assert ops(one)[-1] == "Conv" and "Transpose" not in ops(one)
    np.testing.assert_allclose(run(one), wanted, rtol=1e-13, atol=1e-13)  # float64: a few roundings
    onnx.checker.check_model(ir.to_proto(one), full_check=True)
    assert not MergeUnshuffling()(one).modified


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pads = [1, 1, 1, 1]", "pads = [2, 2, 2, 2], dilations = [2, 2]"),
        ("perm = [0, 1, 3, 5, 2, 4]> (apart)", "perm = [0, 3, 5, 1, 2, 4]> (apart)"),  # DepthToSpace's other order
        ("again = Reshape (large, same)", "again = Reshape (large, same)\n seen = Exp (large)"),
    ],
)
def test_what_is_something_else_stays(before: str, after: str) -> None:
    assert before in PLAIN
    assert not MergeUnshuffling()(model(PLAIN.replace(before, after))).modified


def test_a_mean_of_something_else_stays() -> None:
    one = model(
        WITH_MEAN.replace("int64[1] second = {2}, int64[4] same", "int64[1] second = {1}, int64[4] same").replace(
            "{-1, 8, 2, 3, 2}", "{-1, 2, 8, 3, 2}"
        )
    )
    wanted = run(one)
    assert MergeUnshuffling()(one).modified
    assert ops(one)[-1] == "Add" and "ReduceMean" in ops(one)
    np.testing.assert_allclose(run(one), wanted, rtol=1e-13, atol=1e-13)


def test_wide_convolutions_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_unshuffling, "WIDEST", 3)
    assert not MergeUnshuffling()(model(PLAIN)).modified


def test_half_precision_stays() -> None:
    assert not MergeUnshuffling()(model(PLAIN.replace("double", "float16"))).modified
    assert MergeUnshuffling()(model(PLAIN.replace("double", "float"))).modified
