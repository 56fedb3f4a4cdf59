"""What passes share: who makes a value and who reads it; new nodes and constants; one in the place of others."""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


def made_by(value: ir.Value | None, op: str) -> ir.Node | None:
    """The node of ONNX's operator `op` that makes `value`; None if something else does."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == op and not node.domain else None


def only_reader(value: ir.Value) -> ir.Node | None:
    """The one node that reads `value`; None if there are several, or the graph gives it away."""
    readers = set(value.consumers())
    return readers.pop() if len(readers) == 1 and not value.is_graph_output() else None


def number(value: ir.Value | None) -> float | None:
    """The value of a constant with one element; None for anything else."""
    tensor = value.const_value if value is not None else None
    return float(tensor.numpy().item()) if tensor is not None and tensor.size == 1 else None


def sizes(value: ir.Value | None) -> tuple[int, ...]:
    """The fixed shape of a value; empty for a scalar, and where it is not known."""
    if value is None or value.shape is None or not value.shape.is_static():
        return ()
    return tuple(value.shape.numpy())


def permutation(node: ir.Node | None) -> tuple[int, ...]:
    """Of a Transpose; empty if there is none."""
    return tuple(node.attributes.get_ints("perm", ())) if node is not None else ()


def constant(graph: ir.Graph, name: str, array: NDArray[np.generic], like: ir.Value | None = None) -> ir.Value:
    """The initialiser called `name` that holds `array`, one for all who ask; with `like` its type is that one's, and
    part of the name."""
    if like is not None and like.dtype is not None:
        name, array = f"{name}_{like.dtype.name}", array.astype(like.dtype.numpy())
    if name not in graph.initializers:
        tensor = ir.tensor(array)
        type_, shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
        graph.register_initializer(ir.Value(name=name, type=type_, shape=shape, const_value=tensor))
    return graph.initializers[name]


def node(op: str, inputs: Sequence[ir.Value], name: str, shape: Sequence[int], like: ir.Value) -> ir.Node:
    """A node whose one output, called as it is, has `like`'s type; not in a graph yet."""
    made = ir.node(op, inputs, name=name)
    output = made.outputs[0]
    output.name, output.type, output.shape = name, like.type, ir.Shape(shape)
    return made


def reshape(graph: ir.Graph, value: ir.Value, shape: Sequence[int], name: str) -> ir.Node:
    """A Reshape whose output is called `name`."""
    target = constant(graph, f"shape_{'x'.join(map(str, shape))}", np.array(shape))
    return node("Reshape", [value, target], name, shape, value)


def replace(graph: ir.Graph, old: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Have the last of `nodes` make what was `old`, under its name; what made it is left to those who sweep."""
    producer, new = old.producer(), nodes[-1].outputs[0]
    assert producer is not None
    graph.insert_before(producer, nodes)
    name, old.name = old.name, f"{old.name}/before"
    new.name, new.type, new.shape = name, old.type, old.shape
    nodes[-1].name = str(name)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
