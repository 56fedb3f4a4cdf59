"""ONNX Runtime's own operators for what has a name.

Before: codi::GroupNormSilu, codi::Geglu, codi::Attention
After:  com.microsoft::GroupNorm or SkipGroupNorm, BiasSplitGelu, MultiHeadAttention

ONNX Runtime finds none of them in exported graphs by itself (1.32). Its CUDA kernels take some sizes only, by their
source (contrib_ops/cuda/diffusion): `takes_norm` and `takes_geglu` say which, and others stay as they were exported.
"""

from collections.abc import Callable

import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.casts import cast
from codi_export.graph.nodes import sizes
from codi_export.graph.passes.name_geglu import Gated
from codi_export.graph.passes.name_norms import Norm
from codi_export.ops.functions import DOMAIN

CONTRIB = "com.microsoft"
GEGLU_WIDTHS = (2560, 5120, 10240)  # of value and gate together


def takes_norm(norm: Norm) -> bool:
    """Four dimensions; a thread reads two channels, and both must be of one group."""
    return len(sizes(norm.x)) == 4 and sizes(norm.x)[1] // norm.groups % 2 == 0


def takes_geglu(gated: Gated) -> bool:
    """Three dimensions, the last of Stable Diffusion's, with a bias."""
    return len(sizes(gated.x)) == 3 and sizes(gated.x)[-1] in GEGLU_WIDTHS and gated.bias is not None


class UseContrib(InPlacePass):
    """For every call of `codi`."""

    def call(self, model: ir.Model) -> PassResult:
        calls = [node for node in model.graph if node.domain == DOMAIN]
        for node in calls:
            made = REPLACEMENTS[node.op_type](model.graph, node)
            output, old = made.outputs[0], node.outputs[0]
            output.name, output.type, output.shape = old.name, old.type, old.shape
            old.replace_all_uses_with(output, replace_graph_outputs=True)
            model.graph.insert_before(node, made)
            model.graph.remove(node, safe=True)
            model.opset_imports[CONTRIB] = 1
            model.functions.pop((DOMAIN, node.op_type, ""), None)
        if calls:
            model.opset_imports.pop(DOMAIN, None)
            RemoveUnusedNodesPass()(model)  # and constants: what stood for absent inputs
        return PassResult(model, modified=bool(calls))


def _norm(graph: ir.Graph, node: ir.Node) -> ir.Node:
    """Weight and bias are float32 there, whatever x is; the kernel is channels-last, as the function."""
    x, weight, bias, _, shift, _ = node.inputs
    assert x is not None
    attributes = {
        "groups": node.attributes.get_int("groups"),
        "epsilon": node.attributes.get_float("epsilon"),
        "activation": int(node.op_type == "GroupNormSilu"),
        "channels_last": 1,
    }
    inputs = [x, _wide(graph, node, weight), _wide(graph, node, bias)]
    if shift is None or (shift.const_value is not None and shift.const_value.size == 1):
        return ir.node("GroupNorm", inputs, attributes, domain=CONTRIB, name=node.name)
    return ir.node("SkipGroupNorm", [*inputs, shift], attributes, domain=CONTRIB, name=node.name)


def _wide(graph: ir.Graph, before: ir.Node, value: ir.Value | None) -> ir.Value:
    assert value is not None
    if value.dtype == ir.DataType.FLOAT:
        return value
    node = cast(value, ir.DataType.FLOAT, f"{before.name}/{value.name}")
    graph.insert_before(before, node)
    return node.outputs[0]


def _geglu(graph: ir.Graph, node: ir.Node) -> ir.Node:
    return ir.node("BiasSplitGelu", node.inputs, domain=CONTRIB, name=node.name)


def _attention(graph: ir.Graph, node: ir.Node) -> ir.Node:
    attributes = {"num_heads": node.attributes.get_int("heads"), "scale": node.attributes.get_float("scale")}
    return ir.node("MultiHeadAttention", node.inputs, attributes, domain=CONTRIB, name=node.name)


REPLACEMENTS: dict[str, Callable[[ir.Graph, ir.Node], ir.Node]] = {
    "GroupNormSilu": _norm,
    "GroupNorm": _norm,
    "Geglu": _geglu,
    "Attention": _attention,
}
