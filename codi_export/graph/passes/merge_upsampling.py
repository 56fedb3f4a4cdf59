"""Enlarging by two and convolving is one transposed convolution.

Before: Conv(Resize(x, 2, nearest), w 3 x 3)
After:  ConvTranspose(x, R w R^T 4 x 4, stride 2)

Of the nine pixels that a kernel sees, two or three along each side are one and the same, so their weights are added
first: 4/9 of the products, and the large tensor is never written. The sum is two products in the graph, which runtimes
fold when they load, so that the weight stays as it was stored. Exact but for rounding.
"""

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult

from codi_export.graph.nodes import constant

# Row p of the 4 x 4 kernel adds the rows k of the 3 x 3 one that read the same source pixel; columns likewise.
SUMS = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
PLAIN = {"strides": [1, 1], "dilations": [1, 1], "pads": [1, 1, 1, 1], "group": 1, "auto_pad": "NOTSET"}


class MergeUpsampling(InPlacePass):
    """Only where a convolution alone reads the enlarged tensor, and not in bfloat16."""

    def call(self, model: ir.Model) -> PassResult:
        kernels: dict[ir.Value, ir.Value] = {}  # of all steps that share a weight
        merged = [_merge(model.graph, node, kernels) for node in list(model.graph) if node.op_type == "Conv"]
        return PassResult(model, modified=any(merged))


def _merge(graph: ir.Graph, conv: ir.Node, kernels: dict[ir.Value, ir.Value]) -> bool:
    large, weight = conv.inputs[:2]
    resize = large.producer() if large is not None else None
    if resize is None or large is None or weight is None or not _doubles(resize) or not is_plain(conv):
        return False
    if large.dtype == ir.DataType.BFLOAT16:  # TensorRT-RTX 1.7 has no transposed convolution in it
        return False
    if len(list(large.uses())) > 1 or large.is_graph_output():
        return False
    if weight not in kernels:
        kernels[weight] = _summed(graph, conv, weight)
    bias = conv.inputs[2:]
    attributes = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    merged = ir.node("ConvTranspose", [resize.inputs[0], kernels[weight], *bias], attributes, name=conv.name)
    output, old = merged.outputs[0], conv.outputs[0]
    output.name, output.type, output.shape = old.name, old.type, old.shape
    graph.insert_before(conv, merged)
    old.replace_all_uses_with(output, replace_graph_outputs=True)
    graph.remove([conv, resize], safe=True)
    return True


def _doubles(node: ir.Node) -> bool:
    """Nearest-neighbour enlargement of [B, C, H, W] to [B, C, 2 H, 2 W], each pixel four times."""
    if node.op_type != "Resize" or node.attributes.get_string("mode", "nearest") != "nearest":
        return False
    before, after = node.inputs[0], node.outputs[0]
    if before is None or before.shape is None or after.shape is None or len(before.shape) != 4:
        return False
    small, large = before.shape.numpy(), after.shape.numpy()
    return large == (*small[:2], 2 * small[2], 2 * small[3]) and _repeats(node)


def _repeats(node: ir.Node) -> bool:
    """Source pixel floor(i / 2): said as floor over asymmetric coordinates, or as half-pixel ones rounded any way."""
    place = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    return (place == "asymmetric" and rounding == "floor") or (place == "half_pixel" and rounding.startswith("round"))


def is_plain(conv: ir.Node) -> bool:
    """3 x 3, one pixel of padding, every pixel, one group."""
    weight = conv.inputs[1]
    if weight is None or weight.shape is None or weight.shape.numpy()[2:] != (3, 3):
        return False
    usual = {**PLAIN, "pads": [0, 0, 0, 0]}  # what an attribute is that is not there
    said = usual | {name: attribute.value for name, attribute in conv.attributes.items()}
    return all(_same(said[name], wanted) for name, wanted in PLAIN.items())


def _same(value: object, wanted: object) -> bool:
    return [*value] == wanted if isinstance(value, tuple | list) else value == wanted


def _summed(graph: ir.Graph, conv: ir.Node, weight: ir.Value) -> ir.Value:
    """R w R^T of each pair of channels, as ConvTranspose wants them: [C, M, 4, 4] of w [M, C, 3, 3]."""
    assert weight.dtype is not None and weight.shape is not None and conv.outputs[0].name is not None
    stem = f"{conv.outputs[0].name}/kernel"
    m, c, *_ = weight.shape.numpy()
    rows = constant(graph, "sums_of_rows", SUMS, weight)
    columns = constant(graph, "sums_of_columns", SUMS.T, weight)
    nodes = [ir.node("MatMul", [rows, weight], name=f"{stem}_tall")]
    nodes.append(ir.node("MatMul", [nodes[0].outputs[0], columns], name=f"{stem}_wide"))
    nodes.append(ir.node("Transpose", [nodes[1].outputs[0]], {"perm": [1, 0, 2, 3]}, name=stem))
    shapes = ([m, c, 4, 3], [m, c, 4, 4], [c, m, 4, 4])
    for node, shape in zip(nodes, shapes, strict=True):
        output = node.outputs[0]
        output.name, output.type, output.shape = node.name, ir.TensorType(weight.dtype), ir.Shape(shape)
    graph.insert_before(conv, nodes)
    return nodes[-1].outputs[0]
