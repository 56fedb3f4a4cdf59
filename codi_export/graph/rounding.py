"""A graph in bfloat16 where no kernels for it exist: operators in float32, and every result rounded.

Each product of two bfloat16 numbers is exact in float32, and runtimes add such products up in float32 too; so this is
what hardware with bfloat16 computes, operator by operator.
"""

import onnx_ir as ir

from codi_export.graph.casts import cast, prepend

NARROW, WIDE = ir.DataType.BFLOAT16, ir.DataType.FLOAT


def imitate_bf16(model: ir.Model) -> None:
    """Rewrite `model` in place; its values keep their names, and become float32 numbers that bfloat16 can hold."""
    graph = model.graph
    for value in [value for value in graph.initializers.values() if value.dtype == NARROW]:
        _widen(graph, value, None)
    for node in list(graph):
        for value in node.outputs:
            if value.dtype == NARROW:
                _widen(graph, value, node)


def _widen(graph: ir.Graph, value: ir.Value, producer: ir.Node | None) -> None:
    """Readers of `value` get it as float32, rounded; a cast to bfloat16 rounds by itself, as a constant is rounded."""
    name = str(value.name)
    users = list(value.uses())
    rounds = producer is None or producer.op_type == "Cast"
    value.name = f"{name}/exact"
    nodes = [] if rounds else [cast(value, NARROW, f"{name}/rounded")]
    nodes.append(cast(nodes[0].outputs[0] if nodes else value, WIDE, name))
    nodes[-1].name = f"{name}/imitated"  # the producer has the value's own name
    for user, index in users:
        user.replace_input_with(index, nodes[-1].outputs[0])
    if producer is None:
        prepend(graph, nodes[0])
    else:
        graph.insert_after(producer, nodes)
        value.type = ir.TensorType(NARROW if rounds else WIDE)
