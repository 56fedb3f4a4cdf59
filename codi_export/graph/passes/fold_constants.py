"""Compute what depends on constants only: shape arithmetic, timesteps.

Before: Concat(Shape(x), [-1]), Sin(Mul(t, frequencies)) with t a constant
After:  their values, as initialisers

A backbone's or adapter's tensor is never part of it: its values must stay exchangeable.
"""

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnxscript.optimizer import fold_constants

from codi_export.graph.store import is_weight


class FoldConstants(InPlacePass):
    """onnxscript's folding, kept off the weights."""

    def call(self, model: ir.Model) -> PassResult:
        unknown = any(value.shape is None for node in model.graph for value in node.outputs)  # not in an unrolled graph
        folded = fold_constants(model, onnx_shape_inference=unknown, should_fold=_leave_weights)
        return PassResult(model, modified=bool(folded.modified))


def _leave_weights(node: ir.Node) -> bool | None:
    """False for a node that reads a weight, None (the size limits decide) for others."""
    return False if any(value and is_weight(str(value.name)) for value in node.inputs) else None
