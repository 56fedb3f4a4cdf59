"""codi-export build"""

import os
import resource
import sys
import time
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codi_export import bundle, registry
from codi_export import finalize as finalizing
from codi_export.cli import terminal
from codi_export.cli.finalize import engine_json, engine_line, told
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import bundle_name, for_tasks
from codi_export.records import to_json
from codi_export.spec import MAX_GUIDANCE, MAX_STEPS, BuildSpec, Graph, Manifest, PrecisionChoice
from codi_export.targets import choose, reason

if TYPE_CHECKING:
    from codi_export.graph.cache import Cache
    from codi_export.recipe import Recipe

COUNT = click.IntRange(min=1)


@click.command(epilog="Example: codi-export build --task sr --steps 2 -o sr-2step")
@click.option(
    "--task",
    "tasks",
    metavar="NAME",
    required=True,
    multiple=True,
    help="What it does: codi-export list tasks. Repeat it for several over the same backbone.",
)
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(1, MAX_STEPS),
    default=(2,),
    multiple=True,
    show_default=True,
    help="Denoiser evaluations. Repeat it for several graphs over the same weights.",
)
@click.option(
    "--model", metavar="DIR|NAME", default="mini", show_default=True, help="A diffusers folder or an embedded model."
)
@click.option(
    "--adapter",
    "adapters",
    metavar="DIR[:SCALE]",
    multiple=True,
    help="A ControlNet or T2I-Adapter; several of one task are summed. The embedded model's own if left out.",
)
@click.option(
    "--lora",
    "loras",
    metavar="FILE[:SCALE]",
    multiple=True,
    help="Low-rank changes to add to the backbone's weights: diffusers', peft's or kohya's keys.",
)
@click.option(
    "--vae",
    metavar="full|tiny|DIR",
    default="full",
    show_default=True,
    help="The model's own VAE, the tiny one in its vae_tiny/, or one in another folder.",
)
@click.option(
    "--sampler",
    metavar="NAME",
    default="",
    help="The update between steps: codi-export list samplers. The adapter's own if left out; ddim if it says none.",
)
@click.option("--height", metavar="PIXELS", type=COUNT, help="Of the output; the model's own if left out.")
@click.option("--width", metavar="PIXELS", type=COUNT, help="Of the output; the model's own if left out.")
@click.option("--batch-size", metavar="B", type=COUNT, default=1, show_default=True, help="Pictures per call.")
@click.option("--prompt", metavar="TEXT", help="Built in as a constant; the task's own if left out.")
@click.option("--negative-prompt", metavar="TEXT", default="", help="What guidance leads away from.")
@click.option(
    "--guidance",
    metavar="W",
    type=click.FloatRange(1, MAX_GUIDANCE),
    default=1.0,
    show_default=True,
    help="Classifier-free guidance, built in; 1 is off, anything else doubles a step's work.",
)
@click.option("--adapter-scale-input", is_flag=True, help="Take a factor for what the adapter adds with each call.")
@click.option("--text-input", is_flag=True, help="Take the prompt with each call instead; `edit` always does.")
@click.option(
    "--target",
    metavar="NAME",
    default="",
    help="A machine that it must fit, checked before the work: codi-export list targets.",
)
@click.option(
    "--backend",
    "backends",
    metavar="NAME",
    multiple=True,
    default=("onnxruntime",),
    show_default=True,
    help="What runs it. tensorrt and tensorrt-rtx build engines at once, for the target or the GPU here. Repeatable.",
)
@click.option(
    "--precision",
    type=click.Choice(typing.get_args(PrecisionChoice)),
    default="auto",
    show_default=True,
    help="Of the computation; auto: the target's fastest, fp32 on a CPU. Weights are stored as float16 whatever it is.",
)
@click.option(
    "--calibration",
    metavar="DIR",
    default="",
    help="Pictures as the task takes them, for int8: ranges are measured on them. The built-in photo if left out.",
)
@click.option(
    "--min-psnr",
    metavar="DB",
    type=click.FloatRange(min=0, min_open=True),
    help="What parity with torch must reach; 60 for fp32, 40 for fp16 and bf16, 35 for int8 if left out.",
)
@click.option(
    "--fuse",
    type=click.Choice(("all", "none")),
    default="all",
    show_default=True,
    help="none: components in place of a bundle, a graph each, in the layout of optimum's ONNX export.",
)
@click.option("--no-cache", is_flag=True, help="Trace everything anew, and keep nothing for later builds.")
@click.option("--explain", is_flag=True, help="Say what was traced before, and why anything had to be now.")
@click.option("--dry-run", is_flag=True, help="Say what would be built; write nothing.")
@click.option("--overwrite", is_flag=True, help="Replace a bundle that is there already.")
@click.option("-o", "--output", metavar="DIR", type=click.Path(path_type=Path), help="Default: {task}-{N}step.")
@terminal.json_option
def build(
    tasks: tuple[str, ...],
    steps: tuple[int, ...],
    model: str,
    adapters: tuple[str, ...],
    loras: tuple[str, ...],
    vae: str,
    sampler: str,
    height: int | None,
    width: int | None,
    batch_size: int,
    prompt: str | None,
    negative_prompt: str,
    guidance: float,
    adapter_scale_input: bool,
    text_input: bool,
    precision: PrecisionChoice,
    calibration: str,
    target: str,
    backends: tuple[str, ...],
    min_psnr: float | None,
    fuse: str,
    no_cache: bool,
    explain: bool,
    dry_run: bool,
    overwrite: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Make a bundle of a backbone, an adapter and all steps; it is kept if it equals the torch pipeline."""
    common = BuildSpec(
        task="",
        steps=steps,
        model=model,
        loras=loras,
        vae=vae,
        sampler=sampler,
        precision=precision,
        calibration=calibration,
        target=target,
        height=height or 0,
        width=width or 0,
        batch_size=batch_size,
        prompt=prompt,
        negative_prompt=negative_prompt,
        guidance=guidance,
        adapter_scale_input=adapter_scale_input,
        text_input=text_input,
        min_psnr=min_psnr or 0.0,
    )
    specs = for_tasks(tasks, adapters, common)
    precision_reason = _precision_reason(common)
    if precision == "auto" and (target or explain):
        terminal.say(f"precision: {precision_reason}")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers would draw its own
    compilers = [name for name in backends if registry.get("backends", name).compiler]
    for name in compilers:
        finalizing.where(name, target)
    if compilers and fuse == "none":
        raise CodiError(
            ErrorCode.BAD_OPTION, f"--fuse none writes components, and {compilers[0]} builds engines of a bundle"
        )
    if fuse == "none":
        folder = output or Path(f"{tasks[0]}-components")
        make, kind = _build_components, "folder"
    else:
        folder = output or Path(bundle_name(specs))
        bundle.prepare_output(
            folder, overwrite, [name for spec in specs for name in spec.graphs]
        )  # torch takes seconds
        make, kind = _build, "bundle"
    report, lines = _plan(specs) if dry_run else make(specs, folder, overwrite, no_cache, explain)
    if compilers and not dry_run:
        done = [result for name in compilers for result in finalizing.finalize(folder, name, target, progress=told)]
        report["engines"] = [engine_json(result) for result in done]
        lines += [engine_line(result) for result in done]
    if as_json:
        explained = {"precision": precision_reason} if explain else {}
        terminal.print_json({kind: str(folder), **report, **explained})
    else:
        click.echo("\n".join(lines))


def _precision_reason(spec: BuildSpec) -> str:
    if spec.precision != "auto":
        return f"{spec.precision}, as asked for"
    target = registry.get("targets", spec.target or "cpu")
    return reason(choose("auto", target), target)


Report = tuple[dict[str, Any], list[str]]  # for machines, for people


def _build(specs: Sequence[BuildSpec], output: Path, overwrite: bool, no_cache: bool, explain: bool) -> Report:
    from codi_export.builder import build_specs
    from codi_export.graph.cache import Cache, default

    cache = Cache(None) if no_cache else default()
    start = time.perf_counter()
    with terminal.progress(f"build {output}") as draw:
        manifest = build_specs(specs, output, overwrite, _stages(draw), cache)
    for graph in manifest.graphs:
        _warn(graph.name, graph.warnings)
    size = sum(entry.bytes for entry in manifest.files)
    report = {"bytes": size, "graphs": [_graph_json(manifest, graph) for graph in manifest.graphs]}
    parity = [f"{graph.path}  {graph.parity.image_psnr_db:.0f} dB from torch" for graph in manifest.graphs]
    return _with_costs(report, parity, output, start, cache, explain)


def _build_components(
    specs: Sequence[BuildSpec], output: Path, overwrite: bool, no_cache: bool, explain: bool
) -> Report:
    from codi_export import components
    from codi_export.graph.cache import Cache, default

    cache = Cache(None) if no_cache else default()
    start = time.perf_counter()
    with terminal.progress(f"build {output}") as draw:
        facts = components.write(specs, output, overwrite, _stages(draw), cache)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    report = {"bytes": size, "components": [to_json(one) for one in facts.components]}
    parity = [f"{output / one.name}  {one.rms:.0e} from torch, relative RMS" for one in facts.components]
    return _with_costs(report, parity, output, start, cache, explain)


def _with_costs(
    report: dict[str, Any], lines: list[str], output: Path, start: float, cache: "Cache", explain: bool
) -> Report:
    """What was made, and what that took."""
    seconds, memory = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report |= {"seconds": round(seconds, 1), "peak_rss_bytes": memory}
    report["reused"] = [lookup.piece for lookup in cache.lookups if lookup.reused]
    if explain:
        report["explain"] = [{"piece": one.piece, "reused": one.reused, "reason": one.reason} for one in cache.lookups]
        for one in cache.lookups:
            terminal.say(f"{one.piece}: {'reused' if one.reused else 'traced'}: {one.reason}")
    size = terminal.size(report["bytes"])
    return report, [*lines, f"{output}  {size}  {seconds:.0f} s  {terminal.size(memory)} of memory"]


def _plan(specs: Sequence[BuildSpec]) -> Report:
    from codi_export.recipe import prepare

    recipes = [prepare(spec) for spec in specs]
    graphs = [_plan_json(recipe, index) for recipe in recipes for index in range(len(recipe.schedules))]
    for graph in graphs:
        _warn(f"{graph['task']}, {graph['steps']} steps", graph["warnings"])
    lines = [f"{one['task']}  {one['steps']} steps  {one['sampler']} at t = {one['timesteps']}" for one in graphs]
    for recipe in recipes:
        inputs = " + ".join(f"{spec.name} {[*spec.shape]}" for spec in recipe.inputs)
        lines.append(f"{recipe.task.name}  {inputs} -> {[*recipe.output_shape]}")
    size = recipes[0].backbone_bytes + sum(recipe.adapter_bytes for recipe in recipes)
    return {"bytes": size, "graphs": graphs}, [*lines, f"weights  {terminal.size(size)}"]


def _stages(draw: Callable[[int, int], None]) -> Callable[[str, int, int], None]:
    """A bar on a terminal, a line per stage elsewhere."""

    def show(stage: str, done: int, total: int) -> None:
        draw(done, total)
        if not sys.stderr.isatty():
            terminal.say(f"{done}/{total} {stage}")

    return show


def _warn(what: str, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        terminal.say(f"warning: {what}: {warning}")


def _graph_json(manifest: Manifest, graph: Graph) -> dict[str, Any]:
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    return {
        "task": graph.task,
        "steps": graph.steps,
        "sampler": graph.sampler,
        "precision": graph.precision,
        "path": graph.path,
        "bytes": sizes[graph.path],
        "parity_db": graph.parity.image_psnr_db,
        "warnings": graph.warnings,
        "lowerings": graph.lowerings,
    }


def _plan_json(recipe: "Recipe", index: int) -> dict[str, Any]:
    schedule = recipe.schedules[index]
    return {
        "task": recipe.task.name,
        "steps": len(schedule),
        "sampler": recipe.sampler.name,
        "precision": recipe.precision,
        "timesteps": [step.t for step in schedule.steps],
        "warnings": recipe.warnings(len(schedule)),
    }
