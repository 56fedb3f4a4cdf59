"""Compute what the backbone makes of a step's timestep: its embedding, and each block's projection of it.

Before: Add(h, Unsqueeze(Gemm(silu(e), Cast(unet.w), Cast(unet.b)))) with e a constant
After:  Add(h, c) with c a constant of that step

A schedule is part of the graph, so the weights that only read timesteps are in no bundle. An adapter's are left: they
must be exchangeable. What is made of the prompt is left too: TensorRT finds its fused attention only where keys and
values are computed (kernels that are counted: 252, with constants 278).
"""

import math
from collections.abc import Iterator

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx.reference.ops import load_op
from onnx_ir.passes import InPlacePass, PassResult

from codi_export.graph.store import ADAPTERS, is_weight

Arrays = dict[ir.Value, NDArray[np.generic]]

# A weight in other clothes.
LAYOUT = {"Cast", "DequantizeLinear", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity"}
PROMPTS = ("prompt", "negative")  # what constants of the text are called, behind the piece's name


class FoldTime(InPlacePass):
    """Meant for an unrolled graph, in which timesteps are constants."""

    def call(self, model: ir.Model) -> PassResult:
        known = _known(model.graph)
        ends = [value for value in known if value.producer() is not None and _is_end(value, known) and _works(value)]
        done: Arrays = {}
        for value in ends:
            _replace(model.graph, value, done)
        return PassResult(model, modified=bool(ends))


def _known(graph: ir.Graph) -> dict[ir.Value, None]:
    """Everything that follows from constants and the backbone, in order."""
    named = graph.initializers.items()
    known = {value: None for name, value in named if not name.startswith(ADAPTERS) and _last(name) not in PROMPTS}
    for node in graph:
        if node.inputs and all(value is None or value in known for value in node.inputs):
            known |= dict.fromkeys(node.outputs)
    return known


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _is_end(value: ir.Value, known: dict[ir.Value, None]) -> bool:
    return any(node.outputs[0] not in known for node in value.consumers())


def _works(value: ir.Value) -> bool:
    """Whether weights were computed with, not only turned, cast or scaled, to something smaller than one of them."""
    nodes = list(_behind(value))
    sources = {source for node in nodes for source in node.inputs if source is not None}
    largest = max((_size(source) for source in sources if is_weight(str(source.name))), default=0)
    return largest > _size(value) and any(node.op_type not in LAYOUT for node in nodes)


def _size(value: ir.Value) -> int:
    return math.prod(value.shape.numpy()) if value.shape is not None else 0


def _behind(value: ir.Value) -> Iterator[ir.Node]:
    """The nodes that `value` is computed by, each before those that read it."""
    seen: set[ir.Node] = set()

    def visit(one: ir.Value | None) -> Iterator[ir.Node]:
        node = one.producer() if one is not None else None
        if node is not None and node not in seen:
            seen.add(node)
            for source in node.inputs:
                yield from visit(source)
            yield node

    return visit(value)


def _replace(graph: ir.Graph, value: ir.Value, done: Arrays) -> None:
    computed = _computed(value, graph.opset_imports[""], done)
    assert computed is not None
    tensor = ir.tensor(computed)
    name = str(value.name)
    value.name = f"{name}/computed"  # this one goes
    constant = ir.Value(name=name, type=value.type, shape=value.shape, const_value=tensor)
    graph.register_initializer(constant)
    value.replace_all_uses_with(constant)


def _computed(value: ir.Value | None, opset: int, done: Arrays) -> NDArray[np.generic] | None:
    """By the operators' own definitions, onnx's reference. `done` keeps what several values are computed from, but not
    weights in other clothes: they are large."""
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    if value in done:
        return done[value]
    node = value.producer()
    assert node is not None
    inputs = [_computed(source, opset, done) for source in node.inputs]
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    found = load_op("", node.op_type, opset).eval(*inputs, n_outputs=len(node.outputs), **attributes)
    results: Arrays = dict(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=True))
    if node.op_type not in LAYOUT:
        done.update(results)
    return results[value]
