"""Calls of functions of the domain `codi` in a graph (`ops.functions`)."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from codi_export.ops import functions


def call(
    model: ir.Model, op: str, inputs: Sequence[ir.Value], attributes: Mapping[str, int | float], name: str
) -> ir.Node:
    """A node that calls `op`, whose one output, called `name`, has its first input's type. The model gets the function
    if it does not have it yet; the node is not in the graph yet."""
    node = ir.node(op, inputs, dict(attributes), domain=functions.DOMAIN, name=name)
    node.outputs[0].name, node.outputs[0].type = name, inputs[0].type
    if (functions.DOMAIN, op, "") not in model.functions:
        function = ir.serde.deserialize_function(functions.declared[op])
        model.functions[function.identifier()] = function
        model.opset_imports[functions.DOMAIN] = functions.VERSION
    return node


def absent(graph: ir.Graph, like: ir.Value, shape: tuple[int, ...] = ()) -> ir.Value:
    """What stands for an input that is not there (DECISIONS 50): zeros of `like`'s type."""
    assert like.dtype is not None
    name = "absent_" + "x".join(map(str, ("", *shape, like.dtype.name))).lstrip("x")
    if name not in graph.initializers:
        tensor = ir.tensor(np.zeros(shape, like.dtype.numpy()))
        type_ = ir.TensorType(like.dtype)
        graph.register_initializer(ir.Value(name=name, type=type_, shape=ir.Shape(shape), const_value=tensor))
    return graph.initializers[name]


def replace(graph: ir.Graph, old: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Have the last of `nodes` make what was `old`, under its name; what made it is left to those who sweep."""
    producer, new = old.producer(), nodes[-1].outputs[0]
    assert producer is not None
    graph.insert_before(producer, nodes)
    name, old.name = old.name, f"{old.name}/before"
    new.name, new.type, new.shape = name, old.type, old.shape
    nodes[-1].name = str(name)
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def transpose(value: ir.Value, perm: Sequence[int], name: str) -> ir.Node:
    """A Transpose whose output is called `name`."""
    assert value.shape is not None
    node = ir.node("Transpose", [value], {"perm": list(perm)}, name=name)
    output = node.outputs[0]
    output.name, output.type, output.shape = name, value.type, ir.Shape([value.shape[axis] for axis in perm])
    return node
