"""Backbone + adapters -> components, one graph each, in the folder layout of optimum's ONNX export (`--fuse none`).

    model_index.json, scheduler/, tokenizer/                        what a pipeline needs beside graphs
    text_encoder/, unet/, vae_decoder/, vae_encoder/                model.onnx, its weights and config.json
    condition/, finish/                                             model.onnx: what pipelines know nothing of
    codi_components.json                                            the options, the schedules, and each one's parity

`optimum.onnxruntime.ORTDiffusionPipeline` opens it. The adapters are inside `unet`: what `condition` makes of a picture
goes to the pipeline as `cross_attention_kwargs`, and `finish` puts what the picture says back into the result. A graph
has only the inputs that it reads.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codi_export import apart, files, parity
from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import passes, store
from codi_export.graph.cache import Cache
from codi_export.graph.export import trace
from codi_export.model import components as parts
from codi_export.model import storage
from codi_export.model.components import Component
from codi_export.model.text import Text, load_text
from codi_export.recipe import Recipe, prepare
from codi_export.records import to_json
from codi_export.spec import BuildSpec, Schedule
from codi_export.trials import trials_of

FACTS = "codi_components.json"
GRAPH = "model.onnx"

Progress = Callable[[str, int, int], None]  # what comes next, stages done, stages in all


@dataclass(frozen=True, slots=True)
class Written:
    """A component's inputs and outputs; `rms`: the worst of its outputs' relative RMS distances from torch."""

    name: str
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    bytes: int
    rms: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What `codi_components.json` says: the options, and how a fused graph of them would sample."""

    build: BuildSpec
    sampler: str
    schedules: tuple[Schedule, ...]
    components: tuple[Written, ...]


def write(
    specs: Sequence[BuildSpec],
    output: Path,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
    cache: Cache | None = None,
) -> Facts:
    """Write the components of one task to `output`, which appears when each of them equals torch.

    Raises CodiError (bad-option, output-exists, unknown-name, bad-model, parity, write-failed).
    """
    if len(specs) > 1:
        named = ", ".join(spec.task for spec in specs)
        raise CodiError(ErrorCode.BAD_OPTION, f"--fuse none is for one task; got {named}", "build them one by one")
    prepare_output(output, overwrite)
    recipe = prepare(specs[0])
    if recipe.prompt.pooled is not None:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"{specs[0].model} reads prompts through two encoders; --fuse none is for models with one",
            "leave it out: a fused graph has the prompt built in",
        )
    text = load_text(recipe.backbone.folder, recipe.spec.loras)
    if recipe.precision not in ("fp32", "fp16"):
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"--fuse none writes components in fp32 or fp16, not in {recipe.precision}",
            "--precision fp16 or fp32",
        )
    for network in (*recipe.networks, text.encoder):
        storage.round_to_stored(network)
    with files.writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".codi-", dir=output.parent) as scratch:
            facts = _fill(Path(scratch, output.name), recipe, text, progress, cache or Cache(None))
            if output.exists():
                shutil.rmtree(output)
            Path(scratch, output.name).rename(output)
    return facts


def prepare_output(output: Path, overwrite: bool) -> None:
    """May components be written there? Raises CodiError (output-exists) if not."""
    if files.is_free(output):
        return
    if not (overwrite and (output / FACTS).is_file()):
        hint = "choose another -o; --overwrite with --fuse none replaces such components only"
        raise CodiError(ErrorCode.OUTPUT_EXISTS, f"{output} exists", hint)


def _fill(folder: Path, recipe: Recipe, text: Text, progress: Progress, cache: Cache) -> Facts:
    split = list(parts.split(recipe.backbone, recipe.pieces(), text, trials_of(recipe)[0]))
    written = []
    for index, component in enumerate(split):
        progress(f"writing {component.name}", index, len(split))
        written.append(_write(folder / component.name, component, recipe, cache))
    progress("done", len(split), len(split))
    _write_around(folder, recipe, text)
    facts = Facts(recipe.spec, recipe.sampler.name, recipe.schedules, tuple(written))
    _write_json(folder / FACTS, to_json(facts))
    return facts


def _write(folder: Path, component: Component, recipe: Recipe, cache: Cache) -> Written:
    """A component's graph, weights and config, compared with torch."""
    folder.mkdir(parents=True)
    cache = replace(cache, task=recipe.task.name)
    model = trace(component.name, component.module, component.inputs, component.outputs, cache)
    precision = "fp32" if component.name == "text_encoder" else recipe.precision
    passes.run(model, (*passes.precision(precision), *passes.UNROLLED_PASSES))
    for unread in [value for value in model.graph.inputs if not value.uses()]:  # such as a prompt that no adapter reads
        model.graph.inputs.remove(unread)
    given = {str(value.name): component.examples[str(value.name)] for value in model.graph.inputs}
    store.save(model, folder / GRAPH)
    if component.config:
        _write_json(folder / "config.json", component.config)
    (made,), wanted = apart.run(folder / GRAPH, [given]), component.run()
    rms = max(parity.relative_rms(made[name], wanted[name]) for name in component.outputs)
    if not rms <= recipe.tolerance.latent_rms:
        raise CodiError(
            ErrorCode.PARITY,
            f"component '{component.name}' differs from torch by {rms:.1e} relative RMS; "
            f"expected at most {recipe.tolerance.latent_rms:.0e}",
            "nothing was kept; `codi-export doctor` prints the versions that a bug report needs",
        )
    shapes = {name: array.shape for name, array in given.items()}
    size = sum(file.stat().st_size for file in folder.iterdir())
    return Written(component.name, shapes, component.outputs, size, rms)


def _write_around(folder: Path, recipe: Recipe, text: Text) -> None:
    """What a pipeline reads beside graphs."""
    parts.scheduler(recipe.backbone).save_pretrained(folder / "scheduler")
    text.tokenizer.model_max_length = text.encoder.config.max_position_embeddings
    text.tokenizer.save_pretrained(folder / "tokenizer")
    index: dict[str, Any] = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", type(recipe.backbone.vae).__name__],
    }
    _write_json(folder / "model_index.json", index)


def _write_json(path: Path, value: object) -> None:
    files.write(path, json.dumps(value, indent=1, default=str).encode() + b"\n")
