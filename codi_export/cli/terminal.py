"""What verbs share: options that mean the same in each, results on stdout, everything else on stderr."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from codi_export.errors import CodiError

MIB = 2**20

plugin_option = click.option(
    "--plugin",
    "plugins",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A library of custom operators for TensorRT; it is code, so only what is named here is loaded.",
)
task_option = click.option("--task", metavar="NAME", help="Which task, if the bundle has several.")
steps_option = click.option("--steps", metavar="N", type=int, help="Which graph; the first built if left out.")
provider_option = click.option(
    "--provider",
    metavar="NAME",
    default="cpu",
    show_default=True,
    help="Where onnxruntime runs: cpu, cuda, tensorrt, tensorrt-rtx.",
)
backend_option = click.option(
    "--backend",
    metavar="NAME",
    default="onnxruntime",
    show_default=True,
    help="Which runtime: codi-export list backends.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2))


def say(line: str) -> None:
    """A line about the work, on stderr."""
    click.echo(line, err=True)


def error_json(error: CodiError) -> dict[str, str]:
    """The value of `error` in --json output."""
    return {"code": error.code.value, "message": error.message, "hint": error.hint}


def say_error(error: CodiError) -> None:
    """Two lines on stderr: what is wrong, and what to do."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def size(count: int) -> str:
    """Bytes for people: 999 B, 1.2 kB, 31.4 MB."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


@contextlib.contextmanager
def progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function (done, total). It draws a bar on a terminal and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def draw(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield draw


def phases(label: str) -> Callable[[str, int, int], None]:
    """A function (phase, done, total) that rewrites one line on a terminal, and draws nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda phase, done, total: None

    def draw(phase: str, done: int, total: int) -> None:
        click.echo(f"\r\x1b[K{label}: {phase.lower()} {done}/{total}", nl=False, err=True)

    return draw
