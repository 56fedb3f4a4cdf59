"""Normalise the picture rather than its row of pixels.

Before: GroupNorm of [B, C, h w], which was [B, C, h, w]
After:  GroupNorm of [B, C, h, w]; its result becomes [B, C, h w]

The attention of a KL VAE flattens before it normalises. TensorRT's compiler has one kernel for the norm of a picture,
and takes the other for several nodes.
"""

import math

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import InPlacePass, PassResult
from onnx_ir.passes.common import RemoveUnusedNodesPass

from codi_export.graph.nodes import constant, made_by, node, permutation, replace, reshape, sizes
from codi_export.graph.passes.name_norms import Norm, find_norm


class UnflattenNorms(InPlacePass):
    """Those of what was a picture just before."""

    def call(self, model: ir.Model) -> PassResult:
        norms = [find_norm(node) for node in list(model.graph) if node.op_type == "InstanceNormalization"]
        changed = [_unflatten(model.graph, norm) for norm in norms if norm is not None and len(sizes(norm.x)) == 3]
        if any(changed):
            RemoveUnusedNodesPass()(model)
        return PassResult(model, modified=any(changed))


def _unflatten(graph: ir.Graph, norm: Norm) -> bool:
    picture = _picture(norm.x)
    if picture is None or norm.silu:
        return False
    stem, shape, like = str(norm.result.name), sizes(picture), norm.x
    groups = (shape[0], norm.groups, math.prod(shape[1:]) // norm.groups)
    grouped = reshape(graph, picture, groups, f"{stem}/groups")
    unit = [
        constant(graph, f"{name}_{norm.groups}", np.full(norm.groups, value), like)
        for name, value in (("ones", 1), ("zeros", 0))
    ]
    normal = node("InstanceNormalization", [grouped.outputs[0], *unit], f"{stem}/normal", groups, like)
    normal.attributes.add(ir.AttrFloat32("epsilon", norm.epsilon))
    whole = reshape(graph, normal.outputs[0], shape, f"{stem}/picture")
    axes = constant(graph, "behind_channels", np.array([1, 2]))
    rows = node("Unsqueeze", [norm.weight, axes], f"{stem}/weight", (shape[1], 1, 1), like)
    scaled = node("Mul", [whole.outputs[0], rows.outputs[0]], f"{stem}/scaled", shape, like)
    offsets = node("Unsqueeze", [norm.bias, axes], f"{stem}/bias", (shape[1], 1, 1), like)
    moved = node("Add", [scaled.outputs[0], offsets.outputs[0]], f"{stem}/moved", shape, like)
    flat = reshape(graph, moved.outputs[0], sizes(norm.x), stem)
    replace(graph, norm.result, [grouped, normal, whole, rows, scaled, offsets, moved, flat])
    return True


def _picture(flat: ir.Value | None) -> ir.Value | None:
    """[B, C, h, w] that [B, C, h w] was made of, perhaps turned there and back since."""
    there = made_by(flat, "Transpose")
    back = made_by(there.inputs[0], "Transpose") if there is not None else None
    if back is not None and permutation(there) == permutation(back) == (0, 2, 1):
        return _picture(back.inputs[0])
    shaped = made_by(flat, "Reshape")
    picture = shaped.inputs[0] if shaped is not None else None
    return picture if len(sizes(picture)) == 4 and sizes(picture)[:2] == sizes(flat)[:2] else None
