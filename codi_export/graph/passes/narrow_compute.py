"""Compute the network in float16 or bfloat16, and what surrounds it in float32.

Before: Conv(x, w) -> Softmax -> Conv(., v) -> Mul(sigma), all float32
After:  Cast(x, float16) -> Conv -> Softmax -> Conv -> Cast(float32) -> Mul(sigma)

The network is what lies between the first layer with weights and the last one of a piece. Pixels, resizing, the
schedule's arithmetic and the latent itself stay float32: they cost nothing, and their errors would reach the picture
unattenuated. Types are then in the graph, as a strongly typed runtime wants them.
"""

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from codi_export.graph.casts import cast, prepend
from codi_export.graph.layers import belongs
from codi_export.graph.store import is_weight

WIDE = ir.DataType.FLOAT
FIXED = {"Resize": 1}  # of these operators only so many inputs follow the type; a Resize's scales are always float32


class NarrowCompute(InPlacePass):
    """Meant for one piece; over several it would take what lies between them for the network too. `islands`, modules
    and values, stay float32."""

    def __init__(self, dtype: ir.DataType = ir.DataType.FLOAT16, islands: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.dtype = dtype
        self.islands = islands

    def call(self, model: ir.Model) -> PassResult:
        network = [node for node in _between_layers(model.graph) if _computes_wide(node) and self._narrows(node)]
        outputs = [value for node in network for value in node.outputs if value.dtype == WIDE]
        inside = set(outputs)
        given: dict[ir.Value, ir.Value] = {}
        for node in network:
            for index, value in enumerate(node.inputs[: FIXED.get(node.op_type)]):
                if value is not None and value.dtype == WIDE and value not in inside:
                    node.replace_input_with(index, self._narrowed(model.graph, value, given))
            if node.op_type == "Cast":
                node.attributes["to"] = ir.AttrInt64("to", int(self.dtype))
        for value in outputs:
            self._widen_outside(model.graph, value, set(network))
        return PassResult(model, modified=bool(network))

    def _narrows(self, node: ir.Node) -> bool:
        return not belongs(str(node.outputs[0].name), self.islands)

    def _narrowed(self, graph: ir.Graph, value: ir.Value, given: dict[ir.Value, ir.Value]) -> ir.Value:
        """What comes from outside, cast once for all its readers."""
        if value not in given:
            node = cast(value, self.dtype, f"{value.name}/narrow")
            producer = value.producer()
            if producer is None:
                prepend(graph, node)
            else:
                graph.insert_after(producer, node)
            given[value] = node.outputs[0]
        return given[value]

    def _widen_outside(self, graph: ir.Graph, value: ir.Value, network: set[ir.Node]) -> None:
        """What others read is float32 again."""
        value.type = ir.TensorType(self.dtype)
        others = [(node, index) for node, index in value.uses() if node not in network]
        if not others and not value.is_graph_output():
            return
        producer = value.producer()
        assert producer is not None
        node = cast(value, WIDE, f"{value.name}/wide")
        graph.insert_after(producer, node)
        for reader, index in others:
            reader.replace_input_with(index, node.outputs[0])
        for index, output in enumerate(graph.outputs):
            if output is value:
                value.name, node.outputs[0].name = f"{value.name}/narrow", value.name
                graph.outputs[index] = node.outputs[0]


def _computes_wide(node: ir.Node) -> bool:
    return any(value.dtype == WIDE for value in node.outputs)


def _between_layers(graph: ir.Graph) -> list[ir.Node]:
    """Nodes on a way from one layer with weights to another, the layers included."""
    weights = {value for name, value in graph.initializers.items() if is_weight(name)}
    after: set[ir.Node] = set()
    layers: set[ir.Node] = set()
    for node in graph:
        values = [value for value in node.inputs if value is not None]
        if any(value in weights for value in values):
            layers.add(node)
            if len(values) == 1 or all(value in weights or value.is_initializer() for value in values):
                weights.update(node.outputs)  # a weight's cast or transpose is a weight
        if node in layers or any(value.producer() in after for value in values):
            after.add(node)
    before: set[ir.Node] = set()
    for node in reversed(graph):
        if node in layers or any(user in before for value in node.outputs for user in value.consumers()):
            before.add(node)
    return [node for node in graph if node in after and node in before]
