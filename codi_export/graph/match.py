"""Reading a graph backwards: who makes a value, and who reads it."""

import onnx_ir as ir


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
