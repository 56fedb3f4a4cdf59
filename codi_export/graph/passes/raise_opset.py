"""Say the same in a newer opset.

Before: opset 18, in which no convolution of bfloat16 numbers exists
After:  opset 22, in which one does
"""

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnxscript.version_converter import convert_version


class RaiseOpset(InPlacePass):
    """onnxscript's conversion; a graph that is as new already stays as it is."""

    def __init__(self, opset: int) -> None:
        super().__init__()
        self.opset = opset

    def call(self, model: ir.Model) -> PassResult:
        older = model.graph.opset_imports[""] < self.opset
        if older:
            convert_version(model, self.opset)
        return PassResult(model, modified=older)
