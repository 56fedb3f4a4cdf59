"""A newer opset, the same numbers."""

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from codi_export.graph.passes.raise_opset import RaiseOpset

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[1, 1, 2, 2] x) => (float[1, 1, 4, 4] y)
    <float[4] scales = {1, 1, 2, 2}>
    {
        large = Resize <mode = "nearest"> (x, , scales)
        y = Sigmoid(large)
    }
"""


def run(one: ir.Model) -> np.ndarray:
    x = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    return ReferenceEvaluator(ir.to_proto(one)).run(None, {"x": x})[0]  # type: ignore[no-any-return, index]


def test_it_says_the_same() -> None:
    one, before = ir.from_onnx_text(TEXT), ir.from_onnx_text(TEXT)
    assert RaiseOpset(22)(one).modified
    assert one.graph.opset_imports[""] == 22
    assert [node.op_type for node in one.graph] == [node.op_type for node in before.graph]
    np.testing.assert_array_equal(run(one), run(before))
    onnx.checker.check_model(ir.to_proto(one), full_check=True)


def test_a_second_time_changes_nothing() -> None:
    one = ir.from_onnx_text(TEXT)
    RaiseOpset(22)(one)
    assert not RaiseOpset(22)(one).modified
    assert not RaiseOpset(18)(one).modified, "nor does an older one"
