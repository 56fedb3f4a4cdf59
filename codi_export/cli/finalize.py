"""codi-export finalize"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from codi_export import finalize as finalizing
from codi_export import remote as remotes
from codi_export.backends import EngineOptions, Phases
from codi_export.cli import terminal
from codi_export.finalize import Result
from codi_export.records import to_json


@click.command(epilog="Example: codi-export finalize sr-2step")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--backend",
    type=click.Choice(finalizing.CHOICE),
    help="TensorRT if it is installed, else TensorRT-RTX.",
)
@click.option(
    "--target", metavar="NAME", default="", help="Build ahead of time for its GPU, without one: tensorrt-rtx only."
)
@click.option("--graph", "graphs", metavar="NAME", multiple=True, help="Only these graphs of the bundle.")
@click.option("--workspace", metavar="MIB", type=click.IntRange(min=1), help="Scratch memory that a kernel may have.")
@click.option("--level", type=click.IntRange(0, 5), help="How long kernels are searched for; the runtime's own: 3.")
@click.option(
    "--timing-cache",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the builder's timings are kept, for several bundles; in the bundle if left out.",
)
@click.option("--stripped", is_flag=True, help="Leave weights out of the engine and read the bundle's; needs a GPU.")
@terminal.plugin_option
@click.option("--swappable", is_flag=True, help="The adapter's weights can be replaced in the engine; needs a GPU.")
@click.option("--version-compatible", is_flag=True, help="Runs with later versions of TensorRT too, if slower.")
@click.option("--remote", metavar="ssh://USER@HOST", help="Do it on that machine, and bring the engines back.")
@terminal.json_option
def finalize(
    bundle: Path,
    backend: str | None,
    target: str,
    graphs: tuple[str, ...],
    workspace: int | None,
    level: int | None,
    timing_cache: Path | None,
    stripped: bool,
    plugins: tuple[Path, ...],
    swappable: bool,
    version_compatible: bool,
    remote: str | None,
    as_json: bool,
) -> None:
    """Build the engines that BUNDLE lacks for the GPU here, and compare each with torch's stored output.

    Needs no torch. It can be stopped and called again: engines that are whole are kept.
    """
    options = EngineOptions(
        level=level,
        workspace_bytes=(workspace or 0) * terminal.MIB,
        version_compatible=version_compatible,
        stripped=stripped,
        timing_cache=timing_cache,
    )
    if remote:
        given = {"--backend": backend, "--workspace": workspace, "--level": level, "--timing-cache": timing_cache}
        flags = {"--stripped": stripped, "--swappable": swappable, "--version-compatible": version_compatible}
        words = _words(given, {"--graph": graphs, "--plugin": plugins}, flags | {"--json": as_json})
        click.echo(remotes.finalize(bundle, remotes.parse(remote), words), nl=False)
        return
    done = []
    for result in finalizing.finalize(bundle, backend or "", target, options, swappable, graphs, plugins, told):
        done.append(result)
        click.echo(engine_line(result), err=as_json)
    if as_json:
        terminal.print_json({"bundle": str(bundle), "engines": [engine_json(result) for result in done]})


def _words(
    given: Mapping[str, object], repeated: Mapping[str, Sequence[object]], flags: Mapping[str, bool]
) -> list[str]:
    """The same options for the machine over there, where paths are its own."""
    words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
    words += [word for name, values in repeated.items() for value in values for word in (name, str(value))]
    return words + [name for name, on in flags.items() if on]


def told(label: str) -> Phases:
    terminal.say(f"building {label}")
    return terminal.phases(label)


def engine_line(result: Result) -> str:
    engine = result.engine
    how = f"built in {engine.seconds:.0f} s" if result.built else "was there"
    checked = engine.golden or "not compared with torch yet: finalize on the device does that"
    return f"{engine.path}  {terminal.size(engine.bytes)}  {how}; {checked}"


def engine_json(result: Result) -> dict[str, Any]:
    return {**to_json(result.engine), "built": result.built}
