"""Calls of functions of the domain `codi` in a graph (`ops.functions`)."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from codi_export.graph.nodes import constant, node, sizes
from codi_export.ops import functions


def call(
    model: ir.Model, op: str, inputs: Sequence[ir.Value], attributes: Mapping[str, int | float], name: str
) -> ir.Node:
    """A node that calls `op`, whose one output, called `name`, has its first input's type. The model gets the function
    if it does not have it yet; the node is not in the graph yet."""
    made = ir.node(op, inputs, dict(attributes), domain=functions.DOMAIN, name=name)
    made.outputs[0].name, made.outputs[0].type = name, inputs[0].type
    if (functions.DOMAIN, op, "") not in model.functions:
        function = ir.serde.deserialize_function(functions.declared[op])
        model.functions[function.identifier()] = function
        model.opset_imports[functions.DOMAIN] = functions.VERSION
    return made


def absent(graph: ir.Graph, like: ir.Value, shape: tuple[int, ...] = ()) -> ir.Value:
    """What stands for an input that is not there (DECISIONS 50): zeros of `like`'s type."""
    return constant(graph, f"absent_{'x'.join(map(str, shape))}", np.zeros(shape), like)


def transpose(value: ir.Value, perm: Sequence[int], name: str) -> ir.Node:
    """A Transpose whose output is called `name`."""
    made = node("Transpose", [value], name, [sizes(value)[axis] for axis in perm], value)
    made.attributes.add(ir.AttrInt64s("perm", list(perm)))
    return made
