"""Enlarging and convolving becomes a transposed convolution of the same numbers."""

from functools import partial

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from codi_export.graph.passes.merge_upsampling import MergeUpsampling
from tests.graph.passes.onnx_text import exact, model, ops

RESIZE = 'Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">'
TEXT = f"""
    <ir_version: 8, opset_import: ["" : 18]>
    graph (double[1, 2, 3, 4] x, double[3, 2, 3, 3] w, double[3] b) => (double[1, 3, 6, 8] y)
    <float[4] scales = {{1, 1, 2, 2}}>
    {{
        large = {RESIZE} (x, , scales)
        y = Conv <pads = [1, 1, 1, 1]> (large, w, b)
    }}
"""


run = partial(exact, x=(1, 2, 3, 4), w=(3, 2, 3, 3), b=(3,))


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_exact(bias: bool) -> None:
    text = TEXT if bias else TEXT.replace("(large, w, b)", "(large, w)")
    one, wanted = model(text), run(model(text))
    assert MergeUpsampling()(one).modified
    assert ops(one) == ["MatMul", "MatMul", "Transpose", "ConvTranspose"]
    np.testing.assert_allclose(run(one), wanted, rtol=1e-13, atol=1e-13)  # float64: a few roundings
    onnx.checker.check_model(ir.to_proto(one), full_check=True)


def test_pytorchs_own_way_to_say_nearest() -> None:
    said = (
        'Resize <mode = "nearest", coordinate_transformation_mode = "half_pixel", nearest_mode = "round_prefer_floor">'
    )
    text = TEXT.replace(RESIZE, said)
    one, wanted = model(text), run(model(text))
    assert MergeUpsampling()(one).modified
    np.testing.assert_allclose(run(one), wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pads = [1, 1, 1, 1]", "pads = [1, 1, 1, 1], strides = [2, 2]"),
        ("pads = [1, 1, 1, 1]", "pads = [0, 0, 0, 0]"),
        ("{1, 1, 2, 2}", "{1, 1, 1, 2}"),
        ('"nearest"', '"linear"'),
        ('"floor"', '"ceil"'),
    ],
)
def test_anything_else_stays(before: str, after: str) -> None:
    text = TEXT.replace(before, after).replace("double[1, 3, 6, 8] y", "double[N, M, K, L] y")
    one = model(text)
    assert not MergeUpsampling()(one).modified
    assert ops(one) == ["Resize", "Conv"]


def test_a_second_reader_keeps_the_large_tensor() -> None:
    text = TEXT.replace("=> (double[1, 3, 6, 8] y)", "=> (double[1, 3, 6, 8] y, double[1, 2, 6, 8] large)")
    assert not MergeUpsampling()(model(text)).modified


def test_a_weight_is_summed_once_for_all_steps() -> None:
    text = TEXT.replace("=> (double[1, 3, 6, 8] y)", "=> (double[1, 3, 6, 8] y, double[1, 3, 6, 8] z)").replace(
        "y = Conv",
        f"again = {RESIZE} (x, , scales)\n z = Conv <pads = [1, 1, 1, 1]> (again, w, b)\n y = Conv",
    )
    one = model(text)
    MergeUpsampling()(one)
    assert sorted(ops(one)) == ["ConvTranspose", "ConvTranspose", "MatMul", "MatMul", "Transpose"]


def test_a_second_time_changes_nothing() -> None:
    one = model(TEXT)
    MergeUpsampling()(one)
    assert not MergeUpsampling()(one).modified


def test_bfloat16_is_left_alone() -> None:
    """TensorRT-RTX 1.7 does not build a transposed convolution in it."""
    one = ir.from_onnx_text(TEXT.replace("double[", "bfloat16[").replace('"" : 18', '"" : 22'))
    one = ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(one)))
    assert not MergeUpsampling()(one).modified
    assert ops(one) == ["Resize", "Conv"]
