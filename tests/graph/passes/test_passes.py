"""The passes together."""

import onnx_ir as ir

from codi_export.graph import passes

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float[2] x) => (float[2] y) <float[2] w = {3, 4}>
    {
        half = Constant <value = float {0.5}> ()
        same_half = Constant <value = float {0.5}> ()
        p = Mul(x, half)
        q = Mul(x, same_half)
        r = Identity(q)
        unused = Exp(r)
        s = Add(p, r)
        y = Mul(s, w)
    }
"""


def test_only_work_remains() -> None:
    model = ir.from_onnx_text(TEXT)
    changed = passes.run(model)
    assert [node.op_type for node in model.graph] == ["Mul", "Add", "Mul"]
    assert {"IdentityEliminationPass", "ShareConstants", "CommonSubexpressionEliminationPass"} <= set(changed)


def test_a_second_run_changes_nothing() -> None:
    model = ir.from_onnx_text(TEXT)
    passes.run(model)
    assert passes.run(model) == []
