"""Graphs for one runtime, beside the portable one that all open: made at build, over the same weight files.

A lowering folds, merges and transposes no weight, so an adapter can be swapped under it as under the portable graph.
"""

from pathlib import Path

import onnx_ir as ir
from onnx_ir.passes import InPlacePass

from codi_export import registry
from codi_export.graph import passes, store
from codi_export.graph.passes.name_attention import NameAttention
from codi_export.graph.passes.name_geglu import NameGeglu
from codi_export.graph.passes.name_norms import NameNorms
from codi_export.graph.passes.use_contrib import UseContrib, takes_geglu, takes_norm
from codi_export.spec import Precision

# Name -> what is done to the portable graph. Which one a runtime opens, its backend says.
LOWERINGS: dict[str, tuple[InPlacePass, ...]] = {
    # ONNX Runtime with our kernels registered; it would run without them, and slower than the portable graph.
    "codi": (NameNorms(), NameGeglu(), NameAttention()),
    # ONNX Runtime's CUDA provider, with its own fused operators.
    "contrib": (NameNorms(takes_norm), NameGeglu(takes_geglu), NameAttention(), UseContrib()),
}
ANYWHERE = ("codi",)  # its functions are standard operators, so that any provider runs it


def of(target: str, precision: Precision) -> tuple[str, ...]:
    """The lowerings that a build for `target` adds: both are about kernels of GPUs in fp32 and fp16."""
    return tuple(LOWERINGS) if target and registry.get("targets", target).sm and precision in ("fp32", "fp16") else ()


def lower(model: ir.Model, name: str) -> ir.Model:
    """A lowered copy; tensors are shared."""
    copy = model.clone()
    passes.run(copy, LOWERINGS[name])
    return copy


def save(model: ir.Model, folder: Path, target: str, precision: Precision) -> dict[str, Path]:
    """Write what `target` wants into `folder`, flat: ONNX Runtime follows no path upwards to weights. The portable
    graph's weights are in files there by now (`store.save`), and every lowering reads the same ones."""
    paths = {name: folder / f"{model.graph.name}.{name}.onnx" for name in of(target, precision)}
    for name, path in paths.items():
        store.save(lower(model, name), path)
    return paths
