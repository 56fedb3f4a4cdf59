"""Changes of type in a graph."""

import onnx_ir as ir

HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def cast(value: ir.Value, dtype: ir.DataType, name: str) -> ir.Node:
    """A node whose output, called `name`, is `value` as `dtype`."""
    node = ir.node("Cast", [value], {"to": int(dtype)}, name=name)
    output = node.outputs[0]
    output.name, output.type, output.shape = name, ir.TensorType(dtype), value.shape
    return node


def prepend(graph: ir.Graph, node: ir.Node) -> None:
    """Make `node`, which reads nothing that another computes, the first of the graph."""
    if len(graph):
        graph.insert_before(graph[0], node)
    else:
        graph.append(node)
