"""Compute what depends on constants only: shape arithmetic, timesteps.

Before: Concat(Shape(x), [-1]), Sin(Mul(t, frequencies)) with t a constant
After:  their values, as initialisers

A backbone's or adapter's tensor is never part of it: its values must stay exchangeable.
"""

import math

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnxscript.optimizer import fold_constants

from codi_export.graph.nodes import sizes
from codi_export.graph.store import is_weight


class FoldConstants(InPlacePass):
    """onnxscript's folding, kept off the weights."""

    def call(self, model: ir.Model) -> PassResult:
        unknown = any(value.shape is None for node in model.graph for value in node.outputs)  # not in an unrolled graph
        folded = fold_constants(model, onnx_shape_inference=unknown, should_fold=_should_fold)
        return PassResult(model, modified=bool(folded.modified))


def _should_fold(node: ir.Node) -> bool | None:
    """False for a node that reads a weight, or whose factors take less room than it; None (the size limits decide) for
    others."""
    if any(value and is_weight(str(value.name)) for value in node.inputs):
        return False
    return False if node.op_type == "Mul" and _elements(node.outputs[0]) > max(map(_elements, node.inputs)) else None


def _elements(value: ir.Value | None) -> int:
    return math.prod(sizes(value))
