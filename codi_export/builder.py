"""Backbone + adapter + sampler -> bundle: the whole story."""

import contextlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from codi_export import bundle, files, parity, planner, registry, staging, zoo
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import bundle_name, for_tasks, licence
from codi_export.graph import cache as caches
from codi_export.graph import cost, lowerings, passes, store, text
from codi_export.graph.cache import Cache
from codi_export.graph.export import export
from codi_export.graph.unroll import unroll
from codi_export.model import backbone as backbones
from codi_export.model import reference, storage
from codi_export.model.parts import Weights
from codi_export.model.text import load_texts
from codi_export.narrowing import narrow
from codi_export.parity import Outcome
from codi_export.planner import Workload
from codi_export.recipe import Recipe, precision_of, prepare
from codi_export.spec import (
    GRAPH_OPSETS,
    BuildSpec,
    FileEntry,
    Graph,
    Manifest,
    Parity,
    PrecisionChoice,
    Schedule,
    TensorSpec,
)
from codi_export.trials import Inputs, run_graph, trials_of

Progress = Callable[[str, int, int], None]  # what comes next, stages done, stages in all
TOOLS = ("codi-export", "torch", "diffusers", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime")


def build(
    task: str | Sequence[str],
    steps: int | Sequence[int] = 2,
    output: str | PathLike[str] = "",
    *,
    model: str = "mini",
    adapter: str | Sequence[str] = (),
    lora: str | Sequence[str] = (),
    vae: str = "full",
    sampler: str = "",
    precision: PrecisionChoice = "auto",
    calibration: str = "",
    target: str = "",
    height: int = 0,
    width: int = 0,
    batch_size: int = 1,
    prompt: str | None = None,
    negative_prompt: str = "",
    guidance: float = 1.0,
    adapter_scale_input: bool = False,
    text_input: bool = False,
    min_psnr: float = 0.0,
    overwrite: bool = False,
    cache: bool = True,
) -> Manifest:
    """Build a bundle; the options of `codi-export build` under the same names. Raises CodiError.

    Several tasks and several numbers of steps give a graph for each pair, over the same weights. A finished bundle at
    `output`, by default `{task}-{N}step`, gets them in addition. Each adapter, a folder or
    `DIR:SCALE`, goes to the task that it was trained for, and what several of one task add is summed; each LoRA, a file
    or `FILE:SCALE`, is added to the backbone's weights. `cache`: whether traced pieces are kept for
    later builds, and those of earlier ones used.
    """
    numbers = (steps,) if isinstance(steps, int) else tuple(steps)
    specs = for_tasks(
        [task] if isinstance(task, str) else task,
        [adapter] if isinstance(adapter, str) else adapter,
        BuildSpec(
            task="",
            steps=numbers,
            model=model,
            loras=(lora,) if isinstance(lora, str) else tuple(lora),
            vae=vae,
            sampler=sampler,
            precision=precision,
            calibration=calibration,
            target=target,
            height=height,
            width=width,
            batch_size=batch_size,
            prompt=prompt,
            negative_prompt=negative_prompt,
            guidance=guidance,
            adapter_scale_input=adapter_scale_input,
            text_input=text_input,
            min_psnr=min_psnr,
        ),
    )
    kept = caches.default() if cache else caches.Cache(None)
    return build_specs(specs, Path(output or bundle_name(specs)), overwrite, cache=kept)


def build_specs(
    specs: Sequence[BuildSpec],
    output: Path,
    overwrite: bool = False,
    progress: Progress = lambda *_: None,
    cache: Cache | None = None,
) -> Manifest:
    """Build what `specs` say, of one backbone; `output` appears when every graph has passed its parity check.

    Raises CodiError (output-exists, unknown-name, bad-model, bad-option, parity, write-failed).
    """
    total = 1 + sum(1 + 2 * len(spec.steps) for spec in specs)
    done = -1

    def begin(stage: str) -> None:
        nonlocal done
        done += 1
        progress(stage, done, total)

    def note(news: str) -> None:
        progress(news, done, total)

    for spec in specs:
        _refuse(spec)
    before = staging.prepare_output(output, overwrite, [name for spec in specs for name in spec.graphs])
    with staging.building(output, overwrite) as folder:
        begin(f"loading {specs[0].model}")
        backbone = backbones.load(zoo.folder(specs[0].model), specs[0].loras, specs[0].vae, _weights(specs[0]))
        recipes = [prepare(spec, backbone, "stored") for spec in specs]
        originals = [_originals(recipe) for recipe in recipes]
        for recipe in recipes:
            for network in recipe.networks:
                storage.round_to_stored(network)
        kept = cache or Cache(None)
        graphs = [
            graph
            for recipe, original in zip(recipes, originals, strict=True)
            for graph in _build_task(recipe, original, folder, begin, note, kept)
        ]
        manifest = _manifest(folder, before, recipes, graphs)
        bundle.write_manifest(folder, manifest)
        begin("done")
    return manifest


def _refuse(spec: BuildSpec) -> None:
    """What the target's hardware, or the parser of its TensorRT, cannot do; pictures that nobody would look at."""
    precision = precision_of(spec)
    if spec.calibration and precision == "fp32":
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"--calibration {spec.calibration} has no effect: the graph computes in fp32",
            "--precision int8, or fp16 or bf16, measures ranges",
        )
    if spec.target:
        planner.refuse(registry.get("targets", spec.target), precision, GRAPH_OPSETS[precision])


def estimate(spec: BuildSpec, cache: Cache) -> Workload:
    """What a build of the first graph of `spec` would make, for `planner.plan`; nothing is written but the cache."""
    recipe = prepare(spec, weights="stored")
    exported = export(recipe.pieces(), trials_of(recipe)[0], replace(cache, task=recipe.task.name))
    for piece in exported.models:
        passes.run(piece, passes.precision(recipe.precision))
    schedule, name = recipe.schedules[0], spec.graphs[0]
    model = unroll(exported, schedule, recipe.sampler, name)
    return Workload(name, len(schedule), recipe.precision, cost.weight_bytes(model), cost.count(model))


def _build_task(
    recipe: Recipe,
    originals: Sequence[Outcome | None],
    folder: Path,
    begin: Callable[[str], None],
    note: Callable[[str], None],
    cache: Cache,
) -> Iterator[Graph]:
    """Trace the task's pieces once; then for each number of steps unroll them, and compare the graph with torch.
    `originals`: as `_originals`."""
    task, pieces, trials = recipe.task.name, recipe.pieces(), trials_of(recipe)
    for part in ("graphs", "golden"):
        (folder / part).mkdir(exist_ok=True)

    begin(f"tracing {task}")
    traced = export(pieces, trials[0], replace(cache, task=task))
    narrowed = narrow(recipe, traced, folder, note)
    models = []
    for schedule, name in zip(recipe.schedules, recipe.spec.graphs, strict=True):
        begin(f"unrolling {name}")
        models.append(unroll(narrowed.exported, schedule, recipe.sampler, name))
    store.save_weights(models, folder / "graphs", task)
    if recipe.text_input and not (folder / text.GRAPH).is_file():
        text.export_text(load_texts(recipe.backbone.folder, recipe.spec.loras), folder)

    for schedule, model, original in zip(recipe.schedules, models, originals, strict=True):
        name = str(model.graph.name)
        store.save(model, folder / "graphs" / f"{name}.onnx")
        cost.save(model, folder / "graphs" / f"{name}.cost.json")
        precision = planner.arithmetic(recipe.precision)
        work = Workload(name, len(schedule), precision, cost.weight_bytes(model), cost.count(model))
        if recipe.spec.target:
            planner.require(work, registry.get("targets", recipe.spec.target))

        begin(f"checking {name} against torch")
        wanted = [Outcome(*reference.run(pieces, schedule, recipe.sampler, inputs)) for inputs in trials]
        found = run_graph(folder / "graphs" / f"{name}.onnx", schedule, trials, recipe.precision)
        figures = parity.require(found, wanted, recipe.tolerance)
        lost = parity.compare([wanted[0]], [original or wanted[0]])
        _save_golden(folder / "golden" / f"{name}.safetensors", trials[0], wanted[0])
        adapter, size = files.sha256(folder / "graphs" / f"{task}.safetensors"), cost.weight_bytes(model)
        record = _record(recipe, schedule, name, figures)
        record = replace(record, islands=narrowed.islands, speed=narrowed.speed)
        lowered = lowerings.save(model, folder / "graphs", recipe.spec.target, recipe.precision)
        for path in (path for kind, path in lowered.items() if kind in lowerings.ANYWHERE):
            parity.require(run_graph(path, schedule, trials, recipe.precision), wanted, recipe.tolerance)
        paths = {kind: path.relative_to(folder).as_posix() for kind, path in lowered.items()}
        yield replace(record, storage=lost, adapter_sha256=adapter, weight_bytes=size, lowerings=paths)


def _originals(recipe: Recipe) -> list[Outcome | None]:
    """What the first trial becomes, at each number of steps, with the weights as they came; None where storing them
    changes none."""
    if all(storage.is_exact(network) for network in recipe.networks):
        return [None] * len(recipe.schedules)
    pieces, first = recipe.pieces(), trials_of(recipe)[0]
    return [Outcome(*reference.run(pieces, schedule, recipe.sampler, first)) for schedule in recipe.schedules]


def _manifest(folder: Path, before: Manifest | None, recipes: Sequence[Recipe], graphs: Sequence[Graph]) -> Manifest:
    """What was there before, if anything, and what has come."""
    adapters = {recipe.task.name: recipe.facts for recipe in recipes}
    model, vae = recipes[0].backbone.folder, recipes[0].spec.vae
    licences = {"backbone": licence(model)}
    if vae != "full":
        licences["vae"] = licence(backbones.vae_folder(model, vae))
    for recipe in recipes:
        licences[recipe.task.name] = " + ".join(dict.fromkeys(licence(one.folder) for one in recipe.adapters))
    reading = [name if (folder / name).is_file() else "" for name in (text.GRAPH, *text.TOKENIZERS)]
    return Manifest(
        builds=(*(before.builds if before else ()), *(recipe.spec for recipe in recipes)),
        adapters=(before.adapters if before else {}) | adapters,
        graphs=(*(before.graphs if before else ()), *graphs),
        files=_files(folder),
        licences=(before.licences if before else {}) | licences,
        tools=_tools(),
        text_encoder=reading[0],
        tokenizer=reading[1],
        tokenizer_2=reading[2],
        own_unet=(before is not None and before.own_unet) or any(recipe.adapters[0].own_unet for recipe in recipes),
    )


def _weights(spec: BuildSpec) -> Weights:
    """How they are loaded: low-rank changes are added up in float32."""
    return "float32" if spec.loras else "stored"


def _save_golden(path: Path, inputs: Inputs, wanted: Outcome) -> None:
    """The torch pipeline's answer, for `verify` on any device."""
    arrays = {**inputs, "output": wanted.levels}
    path.write_bytes(save({name: np.asarray(array, order="C") for name, array in arrays.items()}))  # of raw memory


def _record(recipe: Recipe, schedule: Schedule, name: str, figures: Parity) -> Graph:
    return Graph(
        name=name,
        task=recipe.task.name,
        path=f"graphs/{name}.onnx",
        sampler=recipe.sampler.name,
        precision=recipe.precision,
        schedule=schedule,
        inputs=recipe.inputs,
        outputs=(TensorSpec("output", "uint8", recipe.output_shape),),
        scale=recipe.task.scale,
        latent_factor=recipe.backbone.latent_factor,
        golden=f"golden/{name}.safetensors",
        parity=figures,
        tolerance=recipe.tolerance,
        warnings=recipe.warnings(len(schedule)),
        cost=f"graphs/{name}.cost.json",
    )


def _files(folder: Path) -> tuple[FileEntry, ...]:
    paths = [path for part in ("golden", "graphs") for path in sorted((folder / part).iterdir())]
    paths += [path for name in text.TOKENIZERS if (path := folder / name).is_file()]
    return tuple(bundle.file_entry(folder, path.relative_to(folder).as_posix()) for path in paths)


def _tools() -> dict[str, str]:
    """Versions of what made the graph. A checkout that is not installed has none, nor a GPU onnxruntime."""
    versions = {}
    for name in TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
