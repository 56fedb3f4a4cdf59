"""Compute convolutions and products with weights in int8, or only store their weights so.

Before: Conv(x, Cast(w))
After:  Conv(DequantizeLinear(QuantizeLinear(x, s)), DequantizeLinear(w8, t)), or
        Conv(x, Mul(Cast(w8), t))

Symmetric, because TensorRT knows no other: one scale s for a layer's input, the largest |x| over 127, and one scale t
for each output channel of its weight. For TensorRT the input's levels are int8 around 0; on CPUs they are the same as
uint8 around 128, because OpenVINO loses 16 dB of `mini`'s picture with int8 inputs. All other arithmetic, attention's
own products among it, keeps its type. A convolution of an enlarged tensor is computed as before: as one transposed
convolution (`merge_upsampling`) it has 4/9 of the products.

Where only weights are int8 they are plain numbers times a constant, which runtimes compute once, when they load. ONNX
Runtime would compute a DequantizeLinear in each call, and pack no weight for its convolutions: 1.3 times the time.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.casts import cast
from codi_export.graph.layers import Layer, belongs, layers
from codi_export.graph.nodes import constant

LEVELS = 127
SIGNED, UNSIGNED = np.int8(0), np.uint8(128)


class QuantizeLayers(InPlacePass):
    """`largest`: layer -> the largest |x| that it reads; layers that it does not name stay as they are, and so do those
    in `islands`. `zero`: the level of 0 in what layers read, in the type of the levels; None leaves that wide."""

    def __init__(
        self, largest: Mapping[str, float], islands: frozenset[str] = frozenset(), zero: np.generic | None = SIGNED
    ) -> None:
        super().__init__()
        self.zero = zero
        self.largest = largest
        self.islands = islands

    def call(self, model: ir.Model) -> PassResult:
        graph = model.graph
        chosen = [layer for layer in list(layers(graph)) if self._fits(layer)]
        given: dict[tuple[ir.Value, float], ir.Value] = {}
        weights: dict[tuple[ir.Value, bool], ir.Value] = {}
        for layer in chosen:
            as_read = layer.weight, layer.transposed
            if as_read not in weights:
                weights[as_read] = _weight(graph, layer, dequantized=self.zero is not None)
            layer.node.replace_input_with(1, weights[as_read])
            value = layer.node.inputs[0]
            if self.zero is None or value is None:
                continue
            key = value, self.largest[layer.name]
            if key not in given:
                given[key] = _activation(graph, layer, value, self.largest[layer.name], self.zero)
            layer.node.replace_input_with(0, given[key])
        RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=bool(chosen))

    def _fits(self, layer: Layer) -> bool:
        value = layer.node.inputs[0]
        enlarged = value is not None and (node := value.producer()) is not None and node.op_type == "Resize"
        computed_otherwise = enlarged and self.zero is not None
        return bool(self.largest.get(layer.name)) and not belongs(layer.name, self.islands) and not computed_otherwise


def _weight(graph: ir.Graph, layer: Layer, dequantized: bool) -> ir.Value:
    """The weight in int8, lying as its product reads it, with a scale for each output channel: `dequantized`, or
    multiplied by it."""
    axis, turned = int(layer.node.op_type == "MatMul"), "_T" if layer.transposed else ""
    assert layer.weight.const_value is not None
    wide = layer.weight.const_value.numpy().astype(np.float32)
    wide = wide.T if layer.transposed else wide
    others = tuple(index for index in range(wide.ndim) if index != axis)
    kind = _kind(layer)
    scale = _scale(np.abs(wide).max(others), kind)
    shape = [-1 if index == axis else 1 for index in range(wide.ndim)]
    stem = f"{layer.weight.name}{turned}"
    levels = _levels(graph, f"{stem}_int8", layer, scale.reshape(shape))
    if dequantized:
        inputs = levels, constant(graph, f"{stem}_scale", scale)
        nodes = [_node("DequantizeLinear", inputs, f"{stem}_wide", kind, wide.shape, {"axis": axis})]
    else:
        numbers = cast(levels, kind, f"{stem}_levels")
        factor = constant(graph, f"scale/{stem}", scale.reshape(shape))
        nodes = [numbers, _node("Mul", (numbers.outputs[0], factor), f"{stem}_wide", kind, wide.shape)]
    graph.insert_before(layer.node, nodes)
    return nodes[-1].outputs[0]


def _levels(graph: ir.Graph, name: str, layer: Layer, scale: NDArray[np.float32]) -> ir.Value:
    """The weight over `scale`, to the nearest level, computed when it is written: one at a time is in memory."""
    wide, transposed = layer.weight.const_value, layer.transposed
    assert wide is not None

    def rounded() -> ir.TensorProtocol:
        numbers = wide.numpy().astype(np.float32)
        numbers = numbers.T if transposed else numbers
        return ir.tensor(np.clip(np.round(numbers / scale.astype(np.float32)), -LEVELS, LEVELS).astype(np.int8))

    if name not in graph.initializers:
        sizes = wide.shape.numpy()
        shape = ir.Shape(sizes[::-1] if transposed else sizes)
        tensor = ir.LazyTensor(rounded, ir.DataType.INT8, shape, name=name)
        value = ir.Value(name=name, type=ir.TensorType(ir.DataType.INT8), shape=shape, const_value=tensor)
        graph.register_initializer(value)
    return graph.initializers[name]


def _activation(graph: ir.Graph, layer: Layer, value: ir.Value, largest: float, zero_level: np.generic) -> ir.Value:
    """`value` on 255 levels, and back."""
    assert value.shape is not None
    kind, shape = _kind(layer), tuple(value.shape.numpy())
    scale = constant(graph, f"input_scale/{layer.name}", _scale(np.array(largest, np.float32), kind))
    zero = constant(graph, "zero_level", np.asarray(zero_level))
    narrow_type = ir.DataType.from_numpy(zero_level.dtype)
    stem = f"{layer.node.outputs[0].name}/input"
    narrow = _node("QuantizeLinear", (value, scale, zero), f"{stem}_narrow", narrow_type, shape)
    wide = _node("DequantizeLinear", (narrow.outputs[0], scale, zero), f"{stem}_wide", kind, shape)
    graph.insert_before(layer.node, [narrow, wide])
    return wide.outputs[0]


def _kind(layer: Layer) -> ir.DataType:
    """What the layer computed in."""
    kind = layer.node.outputs[0].dtype
    assert kind is not None
    return kind


def _scale(largest: NDArray[np.float32], kind: ir.DataType) -> NDArray[np.float32]:
    """A level's width, never 0, in the type of the computation."""
    smallest = 2.0**-24  # that float16 has
    scale: NDArray[np.float32] = np.maximum(largest / LEVELS, smallest).astype(kind.numpy())
    return scale


def _node(
    op: str,
    inputs: tuple[ir.Value, ...],
    name: str,
    dtype: ir.DataType,
    shape: tuple[int, ...],
    attributes: dict[str, int] | None = None,
) -> ir.Node:
    node = ir.node(op, inputs, attributes or {}, name=name)
    output = node.outputs[0]
    output.name, output.type, output.shape = name, ir.TensorType(dtype), ir.Shape(shape)
    return node
