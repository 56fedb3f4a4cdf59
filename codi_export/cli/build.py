"""codi-export build"""

import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from codi_export import finalize as finalizing
from codi_export import registry, staging
from codi_export.cli import making, terminal
from codi_export.cli.finalize import engine_json, engine_line, told
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import bundle_name, for_tasks
from codi_export.spec import MAX_GUIDANCE, MAX_STEPS, BuildSpec, PrecisionChoice
from codi_export.targets import choose, reason

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
    help="Of the computation; auto: the target's fastest, fp32 on a CPU. Weights are stored as float16, with int8 and "
    "int8-weights as int8; the latter computes in fp32 and is for CPUs.",
)
@click.option(
    "--calibration",
    metavar="DIR",
    default="",
    help="Pictures as the task takes them, that ranges and losses of narrower precisions are measured on. The built-in "
    "photo if left out.",
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
    adapters: tuple[str, ...],
    backends: tuple[str, ...],
    fuse: str,
    no_cache: bool,
    explain: bool,
    dry_run: bool,
    overwrite: bool,
    output: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Make a bundle of a backbone, an adapter and all steps; it is kept if it equals the torch pipeline."""
    # All other options are fields of BuildSpec, which has the defaults of those that are left out.
    common = BuildSpec("", **{name: value for name, value in chosen.items() if value is not None})
    specs, why = for_tasks(tasks, adapters, common), _precision_reason(common)
    if common.precision == "auto" and (common.target or explain):
        terminal.say(f"precision: {why}")
    compilers = _compilers(backends, common.target, fuse)
    kind, name = ("folder", f"{tasks[0]}-components") if fuse == "none" else ("bundle", bundle_name(specs))
    folder = output or Path(name)
    if fuse == "all":  # before torch, which takes seconds
        staging.prepare_output(folder, overwrite, [graph for spec in specs for graph in spec.graphs])
    if dry_run:
        report, lines = making.plan(specs)
    else:
        report, lines = making.make(specs, folder, fuse, overwrite, no_cache, explain)
        engines = [one for name in compilers for one in finalizing.finalize(folder, name, common.target, progress=told)]
        report |= {"engines": [engine_json(one) for one in engines]} if compilers else {}
        lines += [engine_line(one) for one in engines]
    if as_json:
        terminal.print_json({kind: str(folder), **report, **({"precision": why} if explain else {})})
    else:
        click.echo("\n".join(lines))


def _compilers(backends: Sequence[str], target: str, fuse: str) -> list[str]:
    """Those that build engines, which they can for `target` or the GPU here. Raises CodiError."""
    names = [name for name in backends if registry.get("backends", name).compiler]
    for name in names:
        finalizing.where(name, target)
    if names and fuse == "none":
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"--fuse none writes components, and {names[0]} builds engines of a bundle",
            "leave out one of them",
        )
    return names


def _precision_reason(spec: BuildSpec) -> str:
    if spec.precision != "auto":
        return f"{spec.precision}, as asked for"
    target = registry.get("targets", spec.target or "cpu")
    return reason(choose("auto", target), target)
