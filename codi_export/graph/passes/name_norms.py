"""Call GroupNorm, with the SiLU behind it, by name.

Before: x -> Reshape -> InstanceNormalization -> Reshape -> Mul(w) -> Add(b) (-> Mul(., Sigmoid(.)))
After:  x -> Transpose -> codi::GroupNormSilu(w, b, ..., shift) -> Transpose

The function is channels-last, as kernels are. What a block adds to all of a channel's pixels before the norm, the
timestep's part, is the function's `shift`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.calls import absent, call, transpose
from codi_export.graph.nodes import made_by, only_reader, replace, reshape, sizes
from codi_export.ops import group_norm_silu  # noqa: F401  declares the functions


@dataclass(frozen=True, slots=True)
class Norm:
    """A GroupNorm of x [B, C, ...], and where its result is. `shift`: [1, C, 1, 1] or [B, C, 1, 1], None if there is
    none."""

    x: ir.Value
    weight: ir.Value
    bias: ir.Value
    shift: ir.Value | None
    groups: int
    epsilon: float
    silu: bool
    result: ir.Value


class NameNorms(InPlacePass):
    """Those that `only` lets through."""

    def __init__(self, only: Callable[[Norm], bool] = lambda norm: True) -> None:
        super().__init__()
        self.only = only

    def call(self, model: ir.Model) -> PassResult:
        found = [find_norm(node) for node in model.graph if node.op_type == "InstanceNormalization"]
        norms = [norm for norm in found if norm is not None and self.only(norm)]
        for norm in norms:
            _replace(model, norm)
        RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=bool(norms))


def find_norm(node: ir.Node) -> Norm | None:
    """The GroupNorm whose heart is this InstanceNormalization; None if it is another one's."""
    grouped = made_by(node.inputs[0], "Reshape")
    if grouped is None or not (_all(node.inputs[1], 1) and _all(node.inputs[2], 0)):
        return None
    x, (groups,) = grouped.inputs[0], sizes(node.inputs[1])
    shaped = _reader(node.outputs[0], "Reshape")
    scaled = _reader(shaped.outputs[0], "Mul") if shaped is not None else None
    moved = _reader(scaled.outputs[0], "Add") if scaled is not None else None
    if x is None or scaled is None or moved is None or sizes(moved.outputs[0]) != sizes(x) or len(sizes(x)) < 3:
        return None
    weight, bias = _channels(scaled), _channels(moved)
    if weight is None or bias is None or sizes(weight) != sizes(x)[1:2]:
        return None
    activated = _silu(moved.outputs[0])
    x, shift = _shifted(x)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    return Norm(x, weight, bias, shift, groups, epsilon, activated is not None, activated or moved.outputs[0])


def _all(value: ir.Value | None, number: int) -> bool:
    tensor = value.const_value if value is not None else None
    return tensor is not None and bool(np.all(tensor.numpy() == number))


def _reader(value: ir.Value, op: str) -> ir.Node | None:
    node = only_reader(value)
    return node if node is not None and node.op_type == op else None


def _channels(node: ir.Node) -> ir.Value | None:
    """The [C] that a Mul or an Add reads as [C, 1, 1]."""
    rows = [found.inputs[0] for value in node.inputs if (found := made_by(value, "Unsqueeze")) is not None]
    return rows[0] if len(rows) == 1 and len(sizes(rows[0])) == 1 else None


def _silu(value: ir.Value) -> ir.Value | None:
    """value sigmoid(value), if that is all that becomes of it."""
    readers = set(value.consumers())
    gates = [node for node in readers if node.op_type == "Sigmoid"]
    products = [node for node in readers if node.op_type == "Mul"]
    if len(readers) != 2 or len(gates) != 1 or len(products) != 1 or value.is_graph_output():
        return None
    product = products[0]
    return product.outputs[0] if set(product.inputs) == {value, gates[0].outputs[0]} else None


def _shifted(x: ir.Value) -> tuple[ir.Value, ir.Value | None]:
    """x without what is added to whole channels, and that."""
    added = made_by(x, "Add")
    if added is None or only_reader(x) is None or len(sizes(x)) != 4:
        return x, None
    for one, other in (added.inputs, reversed(added.inputs)):
        if one is not None and sizes(one) == sizes(x) and sizes(other) == (*sizes(x)[:2], 1, 1):
            return one, other
    return x, None


def _replace(model: ir.Model, norm: Norm) -> None:
    graph, name = model.graph, str(norm.result.name)
    axes = range(len(sizes(norm.x)))
    rows = transpose(norm.x, (0, *axes[2:], 1), f"{name}/rows")
    nodes, shift = [rows], absent(graph, norm.x, (1, 1))
    if norm.shift is not None:
        flat = reshape(graph, norm.shift, sizes(norm.shift)[:2], f"{name}/shift")
        nodes.append(flat)
        shift = flat.outputs[0]
    second = absent(graph, norm.x, (*sizes(rows.outputs[0])[:-1], 0))
    inputs = [rows.outputs[0], norm.weight, norm.bias, second, shift, absent(graph, norm.x)]
    op = "GroupNormSilu" if norm.silu else "GroupNorm"
    made = call(model, op, inputs, {"groups": norm.groups, "epsilon": norm.epsilon}, f"{name}/normal")
    made.outputs[0].shape = rows.outputs[0].shape
    replace(graph, norm.result, [*nodes, made, transpose(made.outputs[0], (0, axes[-1], *axes[1:-1]), name)])
