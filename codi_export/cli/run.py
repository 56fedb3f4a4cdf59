"""codi-export run"""

import typing
from pathlib import Path
from typing import Any, cast

import click

from codi_export.bundle import read_manifest
from codi_export.cli import terminal
from codi_export.errors import CodiError
from codi_export.runtime import jobs
from codi_export.runtime.color import FIXES, ColorFix
from codi_export.runtime.opening import load, select
from codi_export.runtime.session import Memory, Session, Tile


def _tile(context: click.Context, option: click.Parameter, value: str) -> Tile:
    if value.isdecimal() and int(value) > 0:
        return int(value)
    if value not in ("auto", "off"):
        raise click.BadParameter(f"{value!r}: expected auto, off or a number of pixels")
    return cast(Tile, value)


@click.command(epilog="Example: codi-export run sr-2step photo.jpg -o sharper.png")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("inputs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="A file for one input, else a folder."
)
@terminal.task_option
@terminal.steps_option
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@terminal.provider_option
@terminal.backend_option
@click.option(
    "--memory",
    type=click.Choice(typing.get_args(Memory)),
    default="private",
    show_default=True,
    help="shared: weights stay in the mapped bundle, once for all processes that read it; slower.",
)
@click.option(
    "--max-memory", metavar="MIB", type=click.IntRange(min=1), help="The most that onnxruntime takes of a GPU's memory."
)
@terminal.plugin_option
@click.option("--finalize", "build", is_flag=True, help="Build the engine first if there is none for this GPU.")
@click.option(
    "--tile", default="auto", show_default=True, callback=_tile, metavar="auto|off|N", help="Cut large pictures."
)
@click.option(
    "--color-fix",
    type=click.Choice(FIXES),
    default="none",
    show_default=True,
    help="Keep the colours of a small photo.",
)
@click.option("--prompt", metavar="TEXT", help="What to do, for bundles that read a prompt.")
@click.option(
    "--adapter-scale", type=float, metavar="FACTOR", help="Of what the adapter adds, for bundles that take it; 1."
)
@click.option(
    "--mask",
    type=click.Path(path_type=Path, exists=True),
    help="What to fill, white: a file, or a folder with one of the same name for each input.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist; inputs never are.")
@terminal.json_option
@click.pass_context
def run(
    context: click.Context,
    bundle: Path,
    inputs: tuple[Path, ...],
    output: Path,
    task: str | None,
    steps: int | None,
    seed: int,
    provider: str,
    backend: str,
    memory: Memory,
    max_memory: int | None,
    plugins: tuple[Path, ...],
    build: bool,
    tile: Tile,
    color_fix: ColorFix,
    prompt: str | None,
    adapter_scale: float | None,
    mask: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Run BUNDLE on each INPUT: image files, and folders of them, of any size."""
    todo = jobs.plan(inputs, output, overwrite, mask)
    if build:
        _finalize(bundle, task, steps, backend, plugins)
    limit = (max_memory or 0) * terminal.MIB
    session = load(bundle, task, steps, provider, backend, memory=memory, max_memory=limit, plugins=plugins)
    for word in session.text().unknown(prompt) if session.text and prompt else ():
        terminal.say(f"warning: '{word}' is not in the bundle's vocabulary")
    done: list[tuple[jobs.Job, jobs.Done]] = []
    failed: list[tuple[jobs.Job, CodiError]] = []
    for job in todo:
        try:
            with terminal.progress(job.source.name) as progress:
                result = jobs.run(session, job, seed, tile, progress, prompt, adapter_scale, color_fix)
            done.append((job, _told(job, result, as_json)))
        except CodiError as error:  # the other pictures are still made
            failed.append((job, error))
            terminal.say_error(error)
    if as_json:
        terminal.print_json(_report(session, seed, done, failed))
    context.exit(1 if failed else 0)


def _finalize(bundle: Path, task: str | None, steps: int | None, backend: str, plugins: tuple[Path, ...]) -> None:
    """What `codi-export finalize` does, for the one graph."""
    from codi_export.finalize import finalize

    graph = select(read_manifest(bundle), task, steps)
    for result in finalize(bundle, backend, graphs=[graph.name], plugins=plugins):
        terminal.say(f"{result.engine.path} {'built' if result.built else 'was there'}")


def _told(job: jobs.Job, done: jobs.Done, as_json: bool) -> jobs.Done:
    for notice in done.notices:
        terminal.say(f"note: {job.source}: {notice}")
    click.echo(f"{job.target}  {done.width} x {done.height}  {done.latency_ms:.0f} ms", err=as_json)
    return done


def _report(
    session: Session, seed: int, done: list[tuple[jobs.Job, jobs.Done]], failed: list[tuple[jobs.Job, CodiError]]
) -> dict[str, Any]:
    report: dict[str, Any] = {
        "outputs": [str(job.target) for job, _ in done],
        "provider": session.provider,
        "backend": session.backend,
        "lowering": session.lowering,
        "check": session.check,
        "seed": seed,
        "latency_ms": [result.latency_ms for _, result in done],
    }
    if failed:
        report["failed"] = [{"input": str(job.source), **terminal.error_json(error)} for job, error in failed]
        report["error"] = terminal.error_json(failed[0][1])
    return report
