"""Casts there and back.

Before: Cast(Cast(x, float32), float16) with x float16
After:  x

A first cast that loses nothing may go: the second one then reads what the first one read.
"""

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from codi_export.graph.casts import HALVES


class MergeCasts(InPlacePass):
    """Of two casts in a row the first, if it widens; of one that changes nothing, itself."""

    def call(self, model: ir.Model) -> PassResult:
        modified = False
        for node in list(model.graph):
            if node.op_type == "Cast":
                modified |= _skip_widening(node) | _drop_idle(model.graph, node)
        return PassResult(model, modified)


def _skip_widening(node: ir.Node) -> bool:
    value = node.inputs[0]
    first = value.producer() if value else None
    if value is None or first is None or first.op_type != "Cast" or value.dtype != ir.DataType.FLOAT:
        return False
    source = first.inputs[0]
    if source is None or source.dtype not in HALVES:
        return False
    node.replace_input_with(0, source)
    return True


def _drop_idle(graph: ir.Graph, node: ir.Node) -> bool:
    source, output = node.inputs[0], node.outputs[0]
    if source is None or source.dtype != output.dtype or output.is_graph_output():
        return False
    output.replace_all_uses_with(source)
    graph.remove(node, safe=True)
    return True
