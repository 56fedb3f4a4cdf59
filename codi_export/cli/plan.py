"""codi-export plan"""

from pathlib import Path
from typing import Any

import click

from codi_export import bundle as bundles
from codi_export import planner, registry
from codi_export.cli import terminal
from codi_export.facts import for_tasks
from codi_export.planner import Plan, Workload
from codi_export.records import to_json
from codi_export.runtime.opening import select
from codi_export.spec import MAX_STEPS, BuildSpec, Graph, Manifest
from codi_export.targets import TargetSpec, choose

PRECISIONS = ("auto", *planner.BYTES)
COUNT = click.IntRange(min=1)


@click.command(epilog="Example: codi-export plan sr-2step --target jetson-orin-nano-8gb")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--target",
    "name",
    metavar="NAME",
    default="",
    help="codi-export list targets. What the bundle was built for if left out; cpu if that says nothing.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="What if; auto is the bundle's own, or what a build for the target chooses.",
)
@click.option("--mode", metavar="NAME", default="", help="A power mode of the target; the fastest if left out.")
@click.option("--task", metavar="NAME", help="Of a bundle that has several; or, without a bundle, what to build.")
@click.option("--steps", metavar="N", type=click.IntRange(1, MAX_STEPS), help="As of build, or of the bundle.")
@click.option("--model", metavar="DIR|NAME", default="mini", show_default=True, help="As of build.")
@click.option("--adapter", "adapters", metavar="DIR[:SCALE]", multiple=True, help="As of build.")
@click.option("--height", metavar="PIXELS", type=COUNT, help="As of build.")
@click.option("--width", metavar="PIXELS", type=COUNT, help="As of build.")
@click.option("--batch-size", metavar="B", type=COUNT, default=1, show_default=True, help="As of build.")
@terminal.json_option
@click.pass_context
def plan(
    context: click.Context,
    bundle: Path | None,
    name: str,
    precision: str,
    mode: str,
    task: str | None,
    steps: int | None,
    model: str,
    adapters: tuple[str, ...],
    height: int | None,
    width: int | None,
    batch_size: int,
    as_json: bool,
) -> None:
    """Memory and roofline of BUNDLE on a target, or of what a build with these options would make.

    Computed, not measured. Exit status 1 if it cannot fit. Without BUNDLE the model is loaded and traced, and the trace
    is kept for the build.
    """
    if bundle:
        manifest = bundles.read_manifest(bundle)
        graph = select(manifest, task, steps)
        target: TargetSpec = registry.get("targets", name or _target(manifest, graph))
        work = planner.workload(bundle, graph)
        precision = work.precision if precision == "auto" else precision
        planner.refuse(target, precision)
    elif task:
        target = registry.get("targets", name or "cpu")
        planner.refuse(target, choose(precision, target))
        common = BuildSpec("", (steps or 2,), model, height=height or 0, width=width or 0, batch_size=batch_size)
        work = _traced(*for_tasks([task], adapters, common))
    else:
        raise click.UsageError("give a BUNDLE, or --task and other options of build")
    found = planner.plan(work, target, precision, mode)
    if as_json:
        terminal.print_json(_json(found))
    else:
        click.echo("\n".join(_lines(found, target)))
    if not found.fits:
        terminal.say_error(planner.refusal(found))
    context.exit(0 if found.fits else 1)


def _target(manifest: Manifest, graph: Graph) -> str:
    """What the graph was built for."""
    return next((build.target for build in manifest.builds if graph.name in build.graphs), "") or "cpu"


def _traced(spec: BuildSpec) -> Workload:
    from codi_export.builder import estimate
    from codi_export.graph.cache import default

    return estimate(spec, default())


def _json(found: Plan) -> dict[str, Any]:
    report: dict[str, Any] = to_json(found)
    if not found.fits:
        report["error"] = terminal.error_json(planner.refusal(found))
    return report


def _lines(found: Plan, target: TargetSpec) -> list[str]:
    memory = found.peak_bytes
    mode = f", {found.mode}" if found.mode else ""
    lines = [
        f"{found.graph} in {found.precision} on {target.device}{mode}: computed, not measured",
        f"memory    run {terminal.size(memory.run)}, build {terminal.size(memory.build)} "
        f"of {terminal.size(found.usable_bytes)}; export {terminal.size(memory.export)} wherever that is done",
        "",
        f"{'stage':<10}{'GFLOP':>10}{'MB moved':>10}{'at least ms':>13}",
    ]
    for stage in found.stages:
        lines.append(f"{stage.name:<10}{stage.flops / 1e9:>10.2f}{stage.bytes / 1e6:>10.1f}{stage.roofline_ms:>13.3f}")
    bounds = ", ".join(f"{time:.3g} ms at {steps}" for steps, time in found.roofline_ms.items())
    shares = ", ".join(f"{part} {100 * share:.0f} %" for part, share in found.shares.items() if share >= 0.005)
    return [*lines, "", f"roofline  {bounds} steps", f"of which  {shares}"]
