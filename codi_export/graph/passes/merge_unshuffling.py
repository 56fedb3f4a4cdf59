"""Convolving and moving every second pixel into channels is one convolution with stride 2.

Before: Unshuffle(Conv(x, w 3 x 3)) (+ Mean(Unshuffle(x)), over neighbouring channels)
After:  Conv(x, 4 x 4, stride 2)

Unshuffle is a Reshape, a Transpose and a Reshape of [B, C, 2 h, 2 w] to [B, 4 C, h, w]. Each of the four places of a
2 x 2 block gets its own copy of the kernel, shifted to that place; the mean is one more constant kernel. That is 16/9
of the products, and saves turning large tensors, which is worth more where there are few channels (WIDEST). The kernel
is made in the graph, which runtimes fold when they load, so that the weight stays as it was stored. Exact but for
rounding. Graphs in half precision are for GPUs, where shuffling is no kernel of its own: they stay.
"""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.casts import HALVES
from codi_export.graph.nodes import constant, made_by, node, only_reader, permutation, replace, reshape, sizes
from codi_export.graph.passes.merge_upsampling import is_plain

# Channels of x; a computed bound: at 48 it was measured to pay, at 72 the products would cost what is saved.
WIDEST = 64
BLOCKS = (0, 1, 3, 5, 2, 4)  # [B, C, h, 2, w, 2] -> [B, C, 2, 2, h, w]


class MergeUnshuffling(InPlacePass):
    """Only where nothing else reads what the convolution gives."""

    def call(self, model: ir.Model) -> PassResult:
        merged = [_merge(model.graph, node) for node in list(model.graph) if node.op_type == "Conv"]
        if any(merged):
            RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=any(merged))


def _merge(graph: ir.Graph, conv: ir.Node) -> bool:
    x, weight, bias, *_ = (*conv.inputs, None)
    result = _behind(conv.outputs[0])
    if x is None or weight is None or result is None or not is_plain(conv):
        return False
    if x.dtype in HALVES or sizes(x)[1] > WIDEST:
        return False
    stem, (m, c) = str(result.name), sizes(weight)[:2]
    made = _kernel(graph, weight, stem)
    total = only_reader(result)
    if total is not None and total.op_type == "Add" and (group := _mean(total, result, x)):
        result = total.outputs[0]
        made += _with_mean(graph, made[-1].outputs[0], c, group, stem)
    kernel = made[-1].outputs[0]
    if bias is not None:
        made += _repeated(graph, bias, m, stem)
    inputs = [x, kernel, *([made[-1].outputs[0]] if bias is not None else [])]
    merged = ir.node("Conv", inputs, {"strides": [2, 2], "pads": [1, 1, 1, 1]})
    replace(graph, result, [*made, merged])
    return True


def _behind(value: ir.Value) -> ir.Value | None:
    """What unshuffles `value`, if nothing else is done with it: the last of its nodes' outputs."""
    here = value
    for _ in range(4):  # one Reshape or two, a Transpose, a Reshape
        reader = only_reader(here)
        if reader is None:
            return None
        here = reader.outputs[0]
        if value in _sources(here):
            return here
    return None


def _sources(value: ir.Value | None) -> list[ir.Value]:
    """What `value` is the unshuffling of: a tensor, under several names if it was reshaped to its own shape."""
    last = made_by(value, "Reshape")
    turned = made_by(last.inputs[0], "Transpose") if last is not None else None
    if turned is None or len(sizes(value)) != 4 or permutation(turned) != BLOCKS:
        return []
    batch, channels, height, width = sizes(value)
    source, found = turned.inputs[0], []
    if sizes(source) != (batch, channels // 4, height, 2, width, 2):
        return []
    while (before := made_by(source, "Reshape")) is not None:
        source = before.inputs[0]
        if source is not None and sizes(source) == (batch, channels // 4, 2 * height, 2 * width):
            found.append(source)
    return found


def _mean(total: ir.Node, result: ir.Value, x: ir.Value) -> int:
    """Of how many neighbouring channels of the unshuffled x the mean is added to `result`; 0 if it is none of that."""
    other = next((value for value in total.inputs if value is not result), None)
    mean = made_by(other, "ReduceMean")
    grouped = made_by(mean.inputs[0], "Reshape") if mean is not None else None
    if mean is None or grouped is None or mean.attributes["keepdims"].as_int():
        return 0
    (batch, channels, height, width), shape = sizes(result), sizes(grouped.outputs[0])
    axes = mean.inputs[1].const_value if len(mean.inputs) > 1 and mean.inputs[1] is not None else None
    if axes is None or axes.numpy().tolist() != [2] or len(shape) != 5 or x not in _sources(grouped.inputs[0]):
        return 0
    return shape[2] if shape == (batch, channels, shape[2], height, width) and shape[2] in (1, 2, 4) else 0


def _kernel(graph: ir.Graph, weight: ir.Value, stem: str) -> list[ir.Node]:
    """[4 M, C, 4, 4] of w [M, C, 3, 3]: for block place (i, j) w shifted by i rows and j columns."""
    shifts = np.stack([np.eye(4, 3, -place) for place in (0, 1)])
    (m, c, *_), like = sizes(weight), weight
    rows = constant(graph, "shifts_of_rows", shifts[:, None, None], like)
    columns = constant(graph, "shifts_of_columns", shifts.transpose(0, 2, 1)[:, None], like)
    apart = reshape(graph, weight, (m, 1, 1, c, 3, 3), f"{stem}/apart")
    tall = node("MatMul", [rows, apart.outputs[0]], f"{stem}/tall", (m, 2, 1, c, 4, 3), like)
    wide = node("MatMul", [tall.outputs[0], columns], f"{stem}/wide", (m, 2, 2, c, 4, 4), like)
    return [apart, tall, wide, reshape(graph, wide.outputs[0], (4 * m, c, 4, 4), f"{stem}/kernel")]


def _with_mean(graph: ir.Graph, kernel: ir.Value, c: int, group: int, stem: str) -> list[ir.Node]:
    """The kernel, plus that of the mean: output k of an input channel reads `group` places of the block."""
    each = 4 // group
    places: NDArray[np.float64] = np.zeros((each, 4, 4))
    for place in range(4):
        places[place // group, 1 + place // 2, 1 + place % 2] = 1 / group
    own = constant(graph, f"same_channel_of_{c}", np.eye(c)[:, None, :, None, None], kernel)
    where = constant(graph, f"mean_of_{group}", places[None, :, None], kernel)
    apart = node("Mul", [own, where], f"{stem}/means_apart", (c, each, c, 4, 4), kernel)
    means = reshape(graph, apart.outputs[0], (c * each, c, 4, 4), f"{stem}/means")
    total = node("Add", [kernel, means.outputs[0]], f"{stem}/kernel_and_mean", sizes(kernel), kernel)
    return [apart, means, total]


def _repeated(graph: ir.Graph, bias: ir.Value, m: int, stem: str) -> list[ir.Node]:
    """[4 M] of [M], each four times."""
    column = reshape(graph, bias, (m, 1), f"{stem}/bias_column")
    ones = constant(graph, "four_ones", np.ones((1, 4)), bias)
    four = node("Mul", [column.outputs[0], ones], f"{stem}/bias_rows", (m, 4), bias)
    return [column, four, reshape(graph, four.outputs[0], (4 * m,), f"{stem}/bias")]
