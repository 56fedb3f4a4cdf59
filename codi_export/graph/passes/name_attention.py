"""Call attention by name.

Before: softmax(s q (s k)^T) v, each of q, k, v a Transpose of a Reshape that sets heads apart, and the same backwards
After:  codi::Attention(q, k, v)
"""

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.calls import call
from codi_export.graph.nodes import made_by, number, only_reader, permutation, replace, sizes
from codi_export.ops import attention  # noqa: F401  declares the function

APART = (0, 2, 1, 3)  # [B, T, heads, D] <-> [B, heads, T, D]


@dataclass(frozen=True, slots=True)
class Attended:
    """Tokens q [B, T, heads D] that look at k, v [B, S, heads D], and where the result is."""

    q: ir.Value
    k: ir.Value
    v: ir.Value
    heads: int
    scale: float
    result: ir.Value


class NameAttention(InPlacePass):
    """All that have the exporter's form."""

    def call(self, model: ir.Model) -> PassResult:
        found = [_attended(node) for node in model.graph if node.op_type == "Softmax"]
        some = [one for one in found if one is not None]
        for one in some:
            attributes = {"heads": one.heads, "scale": one.scale}
            made = call(model, "Attention", [one.q, one.k, one.v], attributes, str(one.result.name))
            replace(model.graph, one.result, [made])
        RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=bool(some))


def _attended(softmax: ir.Node) -> Attended | None:
    scores, mixed = made_by(softmax.inputs[0], "MatMul"), only_reader(softmax.outputs[0])
    if scores is None or mixed is None or mixed.op_type != "MatMul" or mixed.inputs[0] is not softmax.outputs[0]:
        return None
    (q, s_q), (k, s_k) = map(_scaled, scores.inputs)
    q, k, v = _tokens(q), _tokens(_upright(k)), _tokens(mixed.inputs[1])
    back = only_reader(mixed.outputs[0])
    result = only_reader(back.outputs[0]) if permutation(back) == APART and back is not None else None
    if q is None or k is None or v is None or result is None or result.op_type != "Reshape":
        return None
    if sizes(result.outputs[0]) != sizes(q):
        return None
    return Attended(q, k, v, sizes(mixed.outputs[0])[1], s_q * s_k, result.outputs[0])


def _scaled(value: ir.Value | None) -> tuple[ir.Value | None, float]:
    """What is multiplied by a number, and the number."""
    product = made_by(value, "Mul")
    if product is not None:
        for one, other in (product.inputs, reversed(product.inputs)):
            if (factor := number(other)) is not None:
                return one, factor
    return value, 1.0


def _upright(k: ir.Value | None) -> ir.Value | None:
    """[B, heads, S, D] of the exporter's [B, heads, D, S], which it turns as [B heads, S, D]."""
    shaped = made_by(k, "Reshape")
    turned = made_by(shaped.inputs[0], "Transpose") if shaped is not None else None
    flat = made_by(turned.inputs[0], "Reshape") if turned is not None else None
    if flat is None or permutation(turned) != (0, 2, 1):
        return None
    upright, last = flat.inputs[0], sizes(k)
    return upright if len(last) == 4 and sizes(upright) == (*last[:2], last[3], last[2]) else None


def _tokens(value: ir.Value | None) -> ir.Value | None:
    """[B, T, heads D] of [B, heads, T, D]."""
    turned = made_by(value, "Transpose")
    apart = made_by(turned.inputs[0], "Reshape") if turned is not None else None
    if apart is None or permutation(turned) != APART:
        return None
    tokens, (batch, count, heads, width) = apart.inputs[0], sizes(apart.outputs[0])
    return tokens if sizes(tokens) == (batch, count, heads * width) else None
