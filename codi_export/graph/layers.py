"""The layers of a network, as a graph shows them: products with a weight."""

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from codi_export.graph.store import is_weight

PRODUCTS = ("Conv", "Gemm", "MatMul")
CLOTHES = ("Cast", "Transpose")  # what a weight may wear on its way to its product


@dataclass(frozen=True, slots=True)
class Layer:
    """`name`: of the module, `unet.conv_in`; `weight` as it is stored; `transposed` on its way to `node`, or not."""

    name: str
    node: ir.Node
    weight: ir.Value
    transposed: bool


def layers(graph: ir.Graph) -> Iterator[Layer]:
    """In the graph's order. What computes a weight's sums, or reads two weights, is none."""
    for node in graph:
        if node.op_type not in PRODUCTS:
            continue
        given, weight = node.inputs[:2]
        turns, stored = 0, weight
        while stored is not None and (producer := stored.producer()) is not None and producer.op_type in CLOTHES:
            turns += producer.op_type == "Transpose"
            stored = producer.inputs[0]
        if given is not None and stored is not None and stored.is_initializer() and is_weight(str(stored.name)):
            yield Layer(str(stored.name).rpartition(".")[0], node, stored, turns % 2 == 1)


def belongs(name: str, modules: frozenset[str]) -> bool:
    """Whether `name`, a value's or a module's, is one of `modules` or lies in one."""
    ends = [index for index, letter in enumerate(name) if letter in "./"]
    return any(name[:end] in modules for end in (*ends, len(name)))
