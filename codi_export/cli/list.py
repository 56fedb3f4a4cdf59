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
@click.argument("kind", type=click.Choice(KINDS), required=False, metavar=f"[{'|'.join(KINDS)}]")
@terminal.json_option
def list_(kind: str | None, as_json: bool) -> None:
    """Names that other verbs take, with a line about each; of every kind, if none is named."""
    found = {one: rows(one) for one in ([kind] if kind else KINDS)}
    if as_json:
        listed = {one: [{"name": n, "summary": text} for n, text in named.items()] for one, named in found.items()}
        terminal.print_json(listed[kind] if kind else listed)
        return
    for one, named in found.items():
        width = max(map(len, named), default=0)
        lines = [f"{name:<{width}}  {text}".rstrip() for name, text in named.items()]
        click.echo("\n".join(lines if kind else [f"{one}:", *(f"  {line}" for line in lines), ""]))


def rows(kind: str) -> dict[str, str]:
    """Every name of a kind, with its line."""
    return models() if kind == "models" else {name: summary(kind, name) for name in registry.names(kind)}


def summary(kind: str, name: str) -> str:
    """First line of an entry's docstring. Read, not imported: an entry may need a package that is not here."""
    path = _HOME / kind / f"{name.replace('-', '_')}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def models() -> dict[str, str]:
    """Models that are embedded, each with a line about it."""
    return dict.fromkeys(zoo.names(), "embedded; any diffusers folder works too: --model DIR")
