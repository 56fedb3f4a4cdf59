"""Backbone + adapter + sampler -> bundle: the whole story."""

import importlib.metadata
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors.numpy import save_file

from codi_export import bundle, parity, registry, zoo
from codi_export.graph import passes, store
from codi_export.graph.export import Exported, export
from codi_export.graph.unroll import probes, unroll
from codi_export.model import reference
from codi_export.model.fuse import Pieces
from codi_export.parity import Outcome
from codi_export.recipe import Recipe, prepare
from codi_export.runtime.noise import normal
from codi_export.spec import BuildSpec, FileEntry, Graph, Manifest, Precision, Schedule, TensorSpec

Progress = Callable[[str, int, int], None]  # what comes next, stages done, stages in all
Pair = tuple[NDArray[np.uint8], NDArray[np.float32]]  # photo [B, H, W, 3], noise [B, C, h, w]

SEEDS = (0, 1)  # two, so that a graph that ignores its noise is found out
TOOLS = ("codi-export", "torch", "diffusers", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime")


def build(
    task: str,
    steps: int | Sequence[int] = 2,
    output: str | PathLike[str] = "",
    *,
    model: str = "mini",
    adapter: str = "",
    sampler: str = "prev",
    precision: Precision = "fp32",
    height: int = 0,
    width: int = 0,
    batch_size: int = 1,
    prompt: str | None = None,
    min_psnr: float = 60.0,
    overwrite: bool = False,
) -> Manifest:
    """Build a bundle; the options of `codi-export build` under the same names. Raises CodiError.

    `steps` may be several numbers: one graph each, over the same weights. `output` defaults to `{task}-{N}step`.
    """
    spec = BuildSpec(
        task=task,
        steps=(steps,) if isinstance(steps, int) else tuple(steps),
        model=model,
        adapter=adapter,
        sampler=sampler,
        precision=precision,
        height=height,
        width=width,
        batch_size=batch_size,
        prompt=prompt,
        min_psnr=min_psnr,
    )
    return build_spec(spec, Path(output or default_output(spec)), overwrite)


def build_spec(spec: BuildSpec, output: Path, overwrite: bool = False, progress: Progress = lambda *_: None) -> Manifest:
    """Build what `spec` says into the folder `output`, which appears when every graph has passed its parity check.

    Raises CodiError: output-exists, unknown-name, bad-model, bad-option, parity, write-failed.
    """
    total = 2 + 2 * len(spec.steps)
    with bundle.building(output, overwrite) as folder:
        progress(f"loading {spec.model}", 0, total)
        recipe = prepare(spec)
        pieces = recipe.pieces()
        pairs = inputs(recipe)
        progress("tracing", 1, total)
        exported = export(pieces, *pairs[0])
        store.save_weights(exported.models, graphs_folder(folder), spec.task)
        graphs = []
        for index, schedule in enumerate(recipe.schedules):
            ...
        manifest = Manifest(spec, recipe.facts, tuple(graphs), entries(folder), licences(recipe), tools())
        bundle.write_manifest(folder, manifest)
    return manifest
