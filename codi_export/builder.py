"""Backbone + adapter + sampler -> bundle: the whole story."""

import contextlib
import importlib.metadata
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors.numpy import save

from codi_export import bundle, parity, registry, zoo
from codi_export.graph import passes, store, text
from codi_export.graph.export import export
from codi_export.graph.unroll import probes, unroll
from codi_export.model import reference
from codi_export.model.backbone import load_text
from codi_export.parity import Outcome
from codi_export.recipe import Recipe, prepare
from codi_export.runtime.noise import normal
from codi_export.spec import BuildSpec, FileEntry, Graph, Manifest, Parity, Precision, Schedule, TensorSpec

Progress = Callable[[str, int, int], None]  # what comes next, stages done, stages in all
Inputs = dict[str, NDArray[Any]]  # of one call, by name

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
    text_input: bool = False,
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
        text_input=text_input,
        min_psnr=min_psnr,
    )
    return build_spec(spec, Path(output or spec.name), overwrite)


def build_spec(
    spec: BuildSpec, output: Path, overwrite: bool = False, progress: Progress = lambda *_: None
) -> Manifest:
    """Build what `spec` says; the folder `output` appears when every graph has passed its parity check.

    Raises CodiError (output-exists, unknown-name, bad-model, bad-option, parity, write-failed).
    """
    stages = iter(range(3 + 2 * len(spec.steps)))

    def begin(stage: str) -> None:
        progress(stage, next(stages), 2 + 2 * len(spec.steps))

    with bundle.building(output, overwrite) as folder:
        begin(f"loading {spec.model}")
        recipe = prepare(spec)
        pieces, trials = recipe.pieces(), _trials(recipe)
        (folder / "graphs").mkdir()
        (folder / "golden").mkdir()

        begin("tracing")
        exported = export(pieces, trials[0])
        store.save_weights(exported.models, folder / "graphs", spec.task)
        if recipe.text_input:
            text.export_text(load_text(recipe.backbone.folder), folder)

        graphs = []
        for schedule in recipe.schedules:
            name = f"{spec.task}-{len(schedule)}step"
            begin(f"unrolling {name}")
            model = unroll(exported, schedule, recipe.sampler, name)
            passes.run(model)
            store.save(model, folder / "graphs" / f"{name}.onnx")

            begin(f"checking {name} against torch")
            wanted = [Outcome(*reference.run(pieces, schedule, recipe.sampler, inputs)) for inputs in trials]
            found = _run_graph(folder / "graphs" / f"{name}.onnx", schedule, trials)
            figures = parity.require(found, wanted, spec.min_psnr)
            _save_golden(folder / "golden" / f"{name}.safetensors", trials[0], wanted[0])
            graphs.append(_record(recipe, schedule, name, figures))

        encoder = (text.GRAPH, text.TOKENIZER) if recipe.text_input else ("", "")
        manifest = Manifest(spec, recipe.facts, tuple(graphs), _files(folder), _licences(recipe), _tools(), *encoder)
        bundle.write_manifest(folder, manifest)
        begin("done")
    return manifest


def _trials(recipe: Recipe) -> list[Inputs]:
    """What a graph is tried on: the zoo's photo at the input's size, its centre masked, once with the noise of each
    seed."""
    batch, height, width, _ = recipe.image_shape
    with Image.open(zoo.PHOTO) as file:
        photo = ImageOps.fit(file.convert("RGB"), (width, height))
    mask = np.zeros((batch, height, width, 1), np.uint8)
    mask[:, height // 4 : -height // 4, width // 4 : -width // 4] = 255
    fixed = {
        "image": np.repeat(np.asarray(photo)[None], batch, axis=0),
        "mask": mask,
        "prompt_embeds": recipe.prompt.expand(batch, -1, -1).numpy(),
    }
    trials = ({**fixed, "noise": normal(seed, recipe.noise_shape)} for seed in SEEDS)
    return [{spec.name: trial[spec.name] for spec in recipe.inputs} for trial in trials]


def _run_graph(path: Path, schedule: Schedule, trials: Sequence[Inputs]) -> list[Outcome]:
    """The file itself gives the 8-bit picture; a copy with further outputs, over the same weights, gives the rest."""
    probe = path.with_suffix(".probe.onnx")
    names = probes(schedule)
    store.save_probe(path, probe, names)
    outputs, values = _run_onnx(path, trials), _run_onnx(probe, trials)
    probe.unlink()
    return [
        Outcome(output["output"], value[names[-1]], [value[name] for name in names[:-1]])
        for output, value in zip(outputs, values, strict=True)
    ]


def _run_onnx(path: Path, trials: Sequence[Inputs]) -> list[dict[str, NDArray[Any]]]:
    run = registry.get("backends", "onnxruntime").open(path, "cpu", None)
    return [run(inputs) for inputs in trials]


def _save_golden(path: Path, inputs: Inputs, wanted: Outcome) -> None:
    """The torch pipeline's answer, for `verify` on any device."""
    arrays = {**inputs, "output": wanted.levels}
    path.write_bytes(
        save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    )  # it writes raw memory


def _record(recipe: Recipe, schedule: Schedule, name: str, figures: Parity) -> Graph:
    return Graph(
        name=name,
        task=recipe.task.name,
        path=f"graphs/{name}.onnx",
        sampler=recipe.sampler.name,
        precision=recipe.spec.precision,
        schedule=schedule,
        inputs=recipe.inputs,
        outputs=(TensorSpec("output", "uint8", recipe.output_shape),),
        scale=recipe.task.scale,
        latent_factor=recipe.backbone.latent_factor,
        golden=f"golden/{name}.safetensors",
        parity=figures,
        warnings=recipe.warnings(len(schedule)),
    )


def _files(folder: Path) -> tuple[FileEntry, ...]:
    paths = [path for part in ("golden", "graphs") for path in sorted((folder / part).iterdir())]
    paths += folder.glob(text.TOKENIZER)
    return tuple(bundle.file_entry(folder, path.relative_to(folder).as_posix()) for path in paths)


def _licences(recipe: Recipe) -> dict[str, str]:
    return {"backbone": _licence(recipe.backbone.folder), "adapter": _licence(recipe.adapter.folder)}


def _licence(folder: Path) -> str:
    """What the folder's model card says in its `license:` line."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    stated = (line.removeprefix("license:").strip() for line in lines if line.startswith("license:"))
    return next(stated, "not stated")


def _tools() -> dict[str, str]:
    """Versions of what made the graph. A checkout that is not installed has none, nor a GPU onnxruntime."""
    versions = {}
    for name in TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
