"""Keep one of several equal constants.

Before: Add(x, a), Mul(y, b) with initialisers a = b = 0.5
After:  Add(x, a), Mul(y, a)

Weights are left alone: two that are equal today (the biases of a new adapter) need not be equal in the next file.
"""

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from codi_export.graph.store import is_weight


class ShareConstants(InPlacePass):
    """Constants are equal if type, shape and bytes are."""

    def call(self, model: ir.Model) -> PassResult:
        kept: dict[tuple[ir.DataType, tuple[int, ...], bytes], ir.Value] = {}
        modified = False
        for name, value in list(model.graph.initializers.items()):
            tensor = value.const_value
            if tensor is None or is_weight(name):
                continue
            first = kept.setdefault((tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes()), value)
            if first is not value:
                value.replace_all_uses_with(first)
                model.graph.initializers.pop(name)
                modified = True
        return PassResult(model, modified)
