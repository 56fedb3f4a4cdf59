"""codi-export swap"""

from pathlib import Path

import click

from codi_export import swap as swaps
from codi_export.cli import terminal

FOLDER = click.Path(path_type=Path)


@click.command(epilog="Example: codi-export swap sr-2step --adapter my-adapter")
@click.argument("bundle", type=FOLDER)
@click.option("--task", default="", metavar="NAME", help="Whose adapter; may be left out if BUNDLE has one task.")
@click.option("--adapter", required=True, type=FOLDER, metavar="DIR", help="An adapter of the same shape.")
@terminal.json_option
def swap(bundle: Path, task: str, adapter: Path, as_json: bool) -> None:
    """Put another adapter into BUNDLE: nothing is built, and the first one swapped back gives the first bytes back.

    The stored outputs that `verify` compares with are those of the adapter that BUNDLE was built with.
    """
    manifest = swaps.swap(bundle, adapter, task)
    graphs = [graph.name for graph in manifest.graphs if task in ("", graph.task)]
    recorded = [graph.name for graph in manifest.graphs if graph.name in graphs and not manifest.swapped(graph)]
    if as_json:
        terminal.print_json({"bundle": str(bundle), "adapter": str(adapter), "graphs": graphs, "recorded": recorded})
        return
    said = "" if recorded else "; no stored output to verify it with"
    click.echo(f"{bundle}: {', '.join(graphs)} with {adapter}{said}")
