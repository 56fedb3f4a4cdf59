"""What each node of a graph costs: products, bytes moved, and what is in memory while it runs.

Counted once, at build, from shapes alone, so that a plan or a profile of the finished bundle needs no ONNX tools.
"""

import math
from collections.abc import Callable, Collection
from pathlib import Path

import onnx_ir as ir

from codi_export import costs
from codi_export.costs import NodeCost
from codi_export.graph.store import is_weight

# One name for the buffer of another: nothing is moved.
VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}

# May write over an input of the same size that nobody reads again.
IN_PLACE = {
    "Abs", "Add", "Clip", "Cos", "Div", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "LeakyRelu", "Log", "Max", "Min",
    "Mul", "Neg", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sin", "Softmax", "Sqrt", "Sub", "Tanh",
}  # fmt: skip


def count(model: ir.Model) -> tuple[NodeCost, ...]:
    """One `NodeCost` a node, in the graph's order; every value needs a fixed shape."""
    origins = _origins(model.graph)
    live = _live_bytes(model.graph, origins)
    modules = _modules(model.graph, origins)
    return tuple(_node(node, live[index], modules[index], origins) for index, node in enumerate(model.graph))


def weight_bytes(model: ir.Model) -> int:
    """What constants take once they are loaded, in the type that they are read in, each counted once."""
    origins = _origins(model.graph)
    return sum(_bytes(value) for value in origins if any(node.outputs[0] not in origins for node in value.consumers()))


def save(model: ir.Model, path: Path) -> None:
    """Write what `costs.read` reads."""
    costs.write(path, count(model))


def _origins(graph: ir.Graph) -> dict[ir.Value, str]:
    """All that depends on constants alone, and the weight that it comes from, if any: weights, their casts and
    transposes, a fixed prompt's keys. Runtimes compute it when they load."""
    known = {value: name if is_weight(name) else "" for name, value in graph.initializers.items()}
    for node in graph:
        values = [value for value in node.inputs if value is not None]
        if all(value in known for value in values):
            origin = next((known[value] for value in values if known[value]), "")
            known |= dict.fromkeys(node.outputs, origin)
    return known


def _modules(graph: ir.Graph, origins: dict[ir.Value, str]) -> list[str]:
    """The module of each node: its first weight's name without the last part, or that of the node before."""
    found, now = [], ""
    for node in graph:
        weights = [origins[value] for value in node.inputs if value is not None and origins.get(value)]
        module = weights[0].rpartition(".")[0] if weights else now
        now = now if node.outputs[0] in origins else module
        found.append(module)
    return found


def _node(node: ir.Node, live: int, module: str, origins: dict[ir.Value, str]) -> NodeCost:
    if node.outputs[0] in origins:
        return NodeCost(str(node.name), node.op_type, 0, 0, 0, 0, live, module)
    read = {value: _bytes(value) for value in node.inputs if value is not None}
    moved = 0 if node.op_type in VIEWS else 1
    return NodeCost(
        name=str(node.name),
        op=node.op_type,
        flops=FLOPS[node.op_type](node) if node.op_type in FLOPS else 0,
        bytes_read=moved * sum(read.values()),
        bytes_written=moved * sum(_bytes(value) for value in node.outputs),
        weight_bytes=sum(size for value, size in read.items() if value in origins),
        live_bytes=live,
        module=module,
    )


def _live_bytes(graph: ir.Graph, fixed: Collection[ir.Value]) -> list[int]:
    """For each node, the bytes of activations that exist while it runs: its inputs, its outputs and what later nodes
    still read. Constants and the graph's own inputs are not among them."""
    last = {value: index for index, node in enumerate(graph) for value in node.inputs if value is not None}
    last |= {value: len(graph) for value in graph.outputs}
    buffers: dict[ir.Value, ir.Value] = {}  # value -> the one whose memory it lives in
    ends: dict[ir.Value, int] = {}  # buffer -> last node that reads it, under any name
    now, found = 0, []
    for index, node in enumerate(graph):
        for value in (value for value in node.outputs if value not in fixed):
            buffer = buffers[value] = _reused(node, value, index, buffers, ends) or value
            now += _bytes(value) if buffer is value else 0
            ends[buffer] = max(ends.get(buffer, index), last.get(value, index))
        found.append(now)
        touched = {buffers[value] for value in (*node.inputs, *node.outputs) if value in buffers}
        now -= sum(_bytes(buffer) for buffer in touched if ends[buffer] == index)
    return found


def _reused(
    node: ir.Node, output: ir.Value, index: int, buffers: dict[ir.Value, ir.Value], ends: dict[ir.Value, int]
) -> ir.Value | None:
    """The buffer that `output` takes over, if any."""
    held = [buffers[value] for value in node.inputs if value in buffers]
    if node.op_type in VIEWS:
        return held[0] if held and node.inputs[0] in buffers else None
    if node.op_type in IN_PLACE:
        return next((one for one in held if ends[one] == index and _bytes(one) == _bytes(output)), None)
    return None


def _shape(value: ir.Value | None) -> list[int]:
    assert value is not None and value.shape is not None, value
    return [int(size) for size in value.shape.numpy()]


def _bytes(value: ir.Value) -> int:
    """What its reader moves: of a dequantised value the one before, for runtimes compute on that."""
    producer = value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear" and producer.inputs[0] is not None:
        value = producer.inputs[0]
    assert value.dtype is not None, value
    return math.ceil(math.prod(_shape(value)) * value.dtype.bitwidth / 8)


def _conv(node: ir.Node) -> int:
    """Each output pixel is a product of kernel x input channels of its group; weight [M, C / groups, kH, kW]."""
    return 2 * math.prod(_shape(node.outputs[0])) * math.prod(_shape(node.inputs[1])[1:])


def _conv_transpose(node: ir.Node) -> int:
    """Each input pixel spreads over kernel x output channels of its group; weight [C, M / groups, kH, kW]."""
    return 2 * math.prod(_shape(node.inputs[0])) * math.prod(_shape(node.inputs[1])[1:])


def _matmul(node: ir.Node) -> int:
    return 2 * math.prod(_shape(node.outputs[0])) * _shape(node.inputs[0])[-1]


def _gemm(node: ir.Node) -> int:
    transposed = node.attributes.get_int("transA", 0)
    return 2 * math.prod(_shape(node.outputs[0])) * _shape(node.inputs[0])[0 if transposed else 1]


def _attention(node: ir.Node) -> int:
    """Q K^T and its product with V; [B, heads, T, D] or [B, T, heads D], and the same for both."""
    q, k, v = (_shape(value) for value in node.inputs[:3])
    if len(q) == 3:
        return 2 * q[0] * q[1] * k[1] * (q[2] + v[2])
    return 2 * q[0] * q[1] * q[2] * k[2] * (q[3] + v[3])


# Products only, as torch.utils.flop_counter: a multiplication and an addition are two. All else is bound by memory.
FLOPS: dict[str, Callable[[ir.Node], int]] = {
    "Attention": _attention,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "Gemm": _gemm,
    "MatMul": _matmul,
}
