"""An RMS norm over channels, without turning the tensor there and back.

Before: t = Transpose(x); Transpose(w t / Sqrt(Mean(t^2) + e) + b), the mean over the last axis
After:  w x / Sqrt(Conv(x x, 1 / C) + e) + b, the convolution 1 x 1 to one channel

Runtimes cancel the Transposes themselves, and are then left with a mean over the second axis, for which they have no
fast kernel; for a convolution they have. Other Transposes of an exported graph do something. Graphs in half precision
are for GPUs, where a compiler makes one kernel of the norm as it is: they stay.
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.casts import HALVES
from codi_export.graph.nodes import constant, made_by, node, number, only_reader, permutation, replace, sizes

LAST, SECOND = (0, 2, 3, 1), (0, 3, 1, 2)  # where the channels go
AFTER_MEAN = ("Add", "Sqrt", "Reciprocal", "Mul", "Mul", "Add", "Transpose")


class CancelTransposes(InPlacePass):
    """Those around RMS norms of [B, C, h, w]."""

    def call(self, model: ir.Model) -> PassResult:
        means = [node for node in list(model.graph) if node.op_type == "ReduceMean"]
        changed = [_change(model.graph, mean) for mean in means]
        if any(changed):
            RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=any(changed))


def _change(graph: ir.Graph, mean: ir.Node) -> bool:
    turned, chain = _squared(mean), _followed(mean, AFTER_MEAN)
    before = made_by(turned, "Transpose")
    if before is None or permutation(before) != LAST or not chain:
        return False
    (_, epsilon), _, _, (_, multiplied), (_, weight), (_, bias), (back, _) = chain
    x = before.inputs[0]
    if x is None or x.dtype in HALVES or multiplied is not turned or epsilon is None or weight is None or bias is None:
        return False
    batch, c, height, width = sizes(x)
    if sizes(mean.outputs[0]) != (batch, height, width, 1) or permutation(back) != SECOND:
        return False
    if number(epsilon) is None or sizes(weight) != (c,) or sizes(bias) != (c,):
        return False
    stem, one = str(back.outputs[0].name), (batch, 1, height, width)
    share = constant(graph, f"share_of_{c}", np.full((1, c, 1, 1), 1 / c), x)
    axes = constant(graph, "behind_channels", np.array([1, 2]))
    squares = node("Mul", [x, x], f"{stem}/squares", sizes(x), x)
    means = node("Conv", [squares.outputs[0], share], f"{stem}/mean", one, x)
    safe = node("Add", [means.outputs[0], epsilon], f"{stem}/safe", one, x)
    root = node("Sqrt", [safe.outputs[0]], f"{stem}/root", one, x)
    normal = node("Div", [x, root.outputs[0]], f"{stem}/normal", sizes(x), x)
    rows = node("Unsqueeze", [weight, axes], f"{stem}/weight", (c, 1, 1), weight)
    large = node("Mul", [normal.outputs[0], rows.outputs[0]], f"{stem}/scaled", sizes(x), x)
    offsets = node("Unsqueeze", [bias, axes], f"{stem}/bias", (c, 1, 1), bias)
    result = node("Add", [large.outputs[0], offsets.outputs[0]], stem, sizes(x), x)
    replace(graph, back.outputs[0], [squares, means, safe, root, normal, rows, large, offsets, result])
    return True


def _squared(mean: ir.Node) -> ir.Value | None:
    """t [B, h, w, C], of whose square it is the mean over the last axis."""
    axes = mean.inputs[1].const_value if len(mean.inputs) > 1 and mean.inputs[1] is not None else None
    square = made_by(mean.inputs[0], "Pow")
    if square is None or number(square.inputs[1]) != 2 or axes is None or axes.numpy().tolist() not in ([-1], [3]):
        return None
    return square.inputs[0]


def _followed(start: ir.Node, ops: tuple[str, ...]) -> list[tuple[ir.Node, ir.Value | None]]:
    """The nodes behind `start`, each with what it reads besides, if they are these operators and each alone reads the
    one before; else none."""
    found, value = [], start.outputs[0]
    for op in ops:
        reader = only_reader(value)
        if reader is None or reader.op_type != op:
            return []
        found.append((reader, next((one for one in reader.inputs if one is not value), None)))
        value = reader.outputs[0]
    return found
