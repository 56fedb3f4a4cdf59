"""What is done to every graph, in order. A pass is one file and one line below; each says if it changed something."""

from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx_ir.passes import InPlacePass
from onnx_ir.passes.common import (
    CommonSubexpressionEliminationPass,
    IdentityEliminationPass,
    LiftConstantsToInitializersPass,
    RemoveUnusedNodesPass,
)

from codi_export.graph.passes.cancel_transposes import CancelTransposes
from codi_export.graph.passes.fold_constants import FoldConstants
from codi_export.graph.passes.fold_time import FoldTime
from codi_export.graph.passes.merge_casts import MergeCasts
from codi_export.graph.passes.merge_unshuffling import MergeUnshuffling
from codi_export.graph.passes.merge_upsampling import MergeUpsampling
from codi_export.graph.passes.narrow_compute import NarrowCompute
from codi_export.graph.passes.quantize_layers import SIGNED, UNSIGNED, QuantizeLayers
from codi_export.graph.passes.raise_opset import RaiseOpset
from codi_export.graph.passes.share_constants import ShareConstants
from codi_export.graph.passes.store_half import StoreHalf
from codi_export.graph.passes.unflatten_norms import UnflattenNorms
from codi_export.spec import GRAPH_OPSETS, Precision

Pass = InPlacePass

DEFAULT_PASSES: tuple[Pass, ...] = (
    FoldConstants(),
    IdentityEliminationPass(),
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
    ShareConstants(),
    CommonSubexpressionEliminationPass(),  # what no step changes (the prompt's keys and values) is computed once
    RemoveUnusedNodesPass(),
)

# What is done to an unrolled graph besides, in which timesteps are constants.
UNROLLED_PASSES: tuple[Pass, ...] = (
    *DEFAULT_PASSES,
    FoldTime(),
    MergeUpsampling(),
    MergeUnshuffling(),
    CancelTransposes(),
    UnflattenNorms(),
    ShareConstants(),  # shapes that these brought
    RemoveUnusedNodesPass(),
)


def precision(
    name: Precision,
    islands: frozenset[str] = frozenset(),
    largest: Mapping[str, float] | None = None,
    half: bool = False,
) -> tuple[Pass, ...]:
    """What is done to a piece before it is unrolled, so that it computes in a precision; `islands`, modules and values,
    stay wider. For int8 and int8-weights: `largest` that each layer reads; for int8: whether all else is float16."""
    match name:
        case "fp32":
            return (StoreHalf(),)
        case "fp16":
            return StoreHalf(), NarrowCompute(ir.DataType.FLOAT16, islands), MergeCasts()
        case "bf16":
            narrow = NarrowCompute(ir.DataType.BFLOAT16, islands)
            return StoreHalf(), narrow, MergeCasts(), RaiseOpset(GRAPH_OPSETS[name])
        case "int8":
            around = precision("fp16" if half else "fp32")
            quantize = QuantizeLayers(largest or {}, islands, SIGNED if half else UNSIGNED)
            return *around, quantize, RaiseOpset(GRAPH_OPSETS[name])
        case "int8-weights":
            return *precision("fp32"), QuantizeLayers(largest or {}, islands, None)


def run(model: ir.Model, passes: Sequence[Pass] = DEFAULT_PASSES) -> list[str]:
    """Apply passes to a model in place; returns the names of those that changed it."""
    return [type(one).__name__ for one in passes if one(model).modified]
