"""Casts there and back go; casts that lose something stay."""

import onnx_ir as ir

from codi_export.graph.passes.merge_casts import MergeCasts

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    graph (float16[2] x, float[2] f) => (float16[2] y, bfloat16[2] z, float[2] g)
    {
        wide = Cast <to = 1> (x)
        back = Cast <to = 10> (wide)
        y = Neg(back)
        z = Cast <to = 16> (wide)
        half = Cast <to = 10> (f)
        rounded = Cast <to = 1> (half)
        g = Neg(rounded)
    }
"""


def test_what_loses_nothing_goes() -> None:
    model = ir.from_onnx_text(TEXT)
    for value in (value for node in model.graph for value in node.outputs):
        kinds = {"wide": 1, "back": 10, "half": 10, "rounded": 1}
        if value.name in kinds:
            value.type = ir.TensorType(ir.DataType(kinds[str(value.name)]))
    assert MergeCasts()(model).modified
    readers = {str(node.outputs[0].name): str(node.inputs[0].name) for node in model.graph if node.inputs[0]}
    assert readers["y"] == "x", "float16 -> float32 -> float16 is nothing"
    assert readers["z"] == "x", "float16 -> float32 -> bfloat16 rounds once"
    assert readers["g"] == "rounded", "float32 -> float16 -> float32 rounds"
    assert not MergeCasts()(model).modified
