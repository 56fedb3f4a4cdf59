"""codi-export list"""

import ast
from pathlib import Path

import click

import codi_export
from codi_export import registry, zoo
from codi_export.cli import terminal

KINDS = ("tasks", "samplers", "backends", "targets", "models")
_HOME = Path(codi_export.__file__).parent


@click.command(name="list", epilog="Example: codi-export list tasks")
@click.argument("kind", type=click.Choice(KINDS))
@terminal.json_option
def list_(kind: str, as_json: bool) -> None:
    """Names that other verbs take, with a line about each."""
    rows = models() if kind == "models" else {name: summary(kind, name) for name in registry.names(kind)}
    if as_json:
        terminal.print_json([{"name": name, "summary": text} for name, text in rows.items()])
        return
    width = max(map(len, rows), default=0)
    for name, text in rows.items():
        click.echo(f"{name:<{width}}  {text}".rstrip())


def summary(kind: str, name: str) -> str:
    """First line of an entry's docstring. Read, not imported: an entry may need a package that is not here."""
    path = _HOME / kind / f"{name.replace('-', '_')}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def models() -> dict[str, str]:
    """Models that are embedded, each with a line about it."""
    return dict.fromkeys(zoo.names(), "embedded; any diffusers folder works too: --model DIR")
