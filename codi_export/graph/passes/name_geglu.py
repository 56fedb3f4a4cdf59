"""Call GEGLU by name.

Before: h = Add(x, b); value, gate = Split(h); value gate 0.5 (1 + erf(gate / sqrt 2))
After:  codi::Geglu(x, b)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.calls import absent, call
from codi_export.graph.nodes import made_by, number, only_reader, replace, sizes
from codi_export.ops import geglu  # noqa: F401  declares the function


@dataclass(frozen=True, slots=True)
class Gated:
    """Halves of x + bias, x [..., 2 D] and bias [2 D], and where their product is."""

    x: ir.Value
    bias: ir.Value | None
    result: ir.Value


class NameGeglu(InPlacePass):
    """Those that `only` lets through."""

    def __init__(self, only: Callable[[Gated], bool] = lambda gated: True) -> None:
        super().__init__()
        self.only = only

    def call(self, model: ir.Model) -> PassResult:
        found = [_gated(node) for node in model.graph if node.op_type == "Split"]
        some = [gated for gated in found if gated is not None and self.only(gated)]
        for gated in some:
            name = str(gated.result.name)
            bias = gated.bias or absent(model.graph, gated.x)
            replace(model.graph, gated.result, [call(model, "Geglu", [gated.x, bias], {}, name)])
        RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=bool(some))


def _gated(split: ir.Node) -> Gated | None:
    x = split.inputs[0]
    if x is None or len(split.outputs) != 2 or split.attributes.get_int("axis", 0) not in (-1, len(sizes(x)) - 1):
        return None
    value, gate = split.outputs
    product = only_reader(value)
    if product is None or product.op_type != "Mul" or sizes(value) != sizes(gate):
        return None
    activated = next((other for other in product.inputs if other is not value), None)
    if activated is None or not _is_gelu(activated, gate):
        return None
    return Gated(*_biased(x), product.outputs[0])


def _is_gelu(value: ir.Value, gate: ir.Value) -> bool:
    """gate (0.5 (1 + erf(gate / sqrt 2)))"""
    product = made_by(value, "Mul")
    if product is None or gate not in product.inputs:
        return False
    probability = next((made_by(one, "Mul") for one in product.inputs if one is not gate), None)
    if probability is None or 0.5 not in map(number, probability.inputs):
        return False
    total = next((found for one in probability.inputs if (found := made_by(one, "Add")) is not None), None)
    if total is None or 1 not in map(number, total.inputs):
        return False
    error = next((found for one in total.inputs if (found := made_by(one, "Erf")) is not None), None)
    scaled = made_by(error.inputs[0], "Div") if error is not None else None
    if scaled is None or scaled.inputs[0] is not gate:
        return False
    return math.isclose(number(scaled.inputs[1]) or 0, math.sqrt(2), rel_tol=1e-3)  # float16 has 1.4141


def _biased(x: ir.Value) -> tuple[ir.Value, ir.Value | None]:
    """x without the bias that was added last, and that."""
    added = made_by(x, "Add")
    if added is not None and only_reader(x) is not None:
        for one, other in (added.inputs, reversed(added.inputs)):
            if one is not None and sizes(one) == sizes(x) and sizes(other) == sizes(x)[-1:]:
                return one, other
    return x, None
