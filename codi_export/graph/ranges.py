"""How large the values of a graph become: a copy of it says so itself, so that none has to leave the runtime."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from codi_export.graph.layers import layers

SUFFIX = "/largest"

Outputs = Sequence[Mapping[str, NDArray[Any]]]  # of several calls, by name


def add_ranges(model: ir.Model) -> None:
    """Give `model`, in place, an output max |x| for every float32 value that follows from its inputs."""
    graph = model.graph
    varies = set(graph.inputs)
    for node in list(graph):
        if any(value in varies for value in node.inputs if value is not None):
            varies.update(node.outputs)
    values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
    for value in values:
        if value in varies and value.dtype == ir.DataType.FLOAT:
            _measure(graph, value)


def largest(model: ir.Model, outputs: Outputs) -> dict[str, float]:
    """Node -> the largest |x| that it reads or makes, over all calls and steps: named without its stage, as in its
    piece. `outputs`: of the graph that `add_ranges` made of `model`."""
    found: dict[str, float] = {}
    for node in model.graph:
        for value in (*node.inputs, *node.outputs):
            _note(found, _unstaged(str(node.outputs[0].name)), value, outputs)
    return found


def largest_read(model: ir.Model, outputs: Outputs) -> dict[str, float]:
    """Layer -> the largest |x| that it reads, likewise. A layer that reads constants alone is none of them."""
    found: dict[str, float] = {}
    for layer in layers(model.graph):
        _note(found, layer.name, layer.node.inputs[0], outputs)
    return found


def _measure(graph: ir.Graph, value: ir.Value) -> None:
    size = ir.node("Abs", [value], name=f"{value.name}/size")
    most = ir.node("ReduceMax", [size.outputs[0]], {"keepdims": 0}, name=f"{value.name}{SUFFIX}")
    for node in (size, most):
        node.outputs[0].name = node.name
    most.outputs[0].type, most.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
    producer = value.producer()
    if producer is None:
        for node in reversed((size, most)):
            graph.insert_before(graph[0], node)
    else:
        graph.insert_after(producer, [size, most])
    graph.outputs.append(most.outputs[0])


def _note(found: dict[str, float], name: str, value: ir.Value | None, outputs: Outputs) -> None:
    seen = [one[f"{value.name}{SUFFIX}"] for one in outputs if value is not None and f"{value.name}{SUFFIX}" in one]
    if seen:
        found[name] = max(found.get(name, 0.0), float(np.max(seen)))


def _unstaged(name: str) -> str:
    """`step2/unet.conv_in/conv2d` -> `unet.conv_in/conv2d`"""
    return name.partition("/")[2]
