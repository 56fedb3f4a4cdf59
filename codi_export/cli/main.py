"""The command table. Nothing of a verb is imported before it is called, so `--help` is quick and needs no extra."""

import importlib
import os
import sys
from collections import Counter
from collections.abc import Sequence

import click

from codi_export import __version__
from codi_export.cli import terminal
from codi_export.errors import CodiError, ErrorCode

COMMANDS = {
    "build": ("codi_export.cli.build:build", "Backbone + adapter + sampler to a bundle."),
    "run": ("codi_export.cli.run:run", "Pictures in, pictures out."),
    "verify": ("codi_export.cli.verify:verify", "Check a bundle: files, hashes, golden outputs."),
    "profile": ("codi_export.cli.profile:profile", "How long a bundle takes here, and where the time goes."),
    "inspect": ("codi_export.cli.inspect_bundle:inspect", "What is in a bundle."),
    "plan": ("codi_export.cli.plan:plan", "Memory and roofline of a bundle or a build on a target."),
    "finalize": ("codi_export.cli.finalize:finalize", "Build what a bundle lacks for the GPU here."),
    "swap": ("codi_export.cli.swap:swap", "Put another adapter into a bundle."),
    "list": ("codi_export.cli.list:list_", "Tasks, samplers, backends, targets and models that exist here."),
    "import-flax": ("codi_export.cli.import_flax:import_flax", "An adapter from a Flax checkpoint of fast-codi/CoDi."),
    "doctor": ("codi_export.cli.doctor:doctor", "What is installed, what is missing, how to get it."),
    "distill": ("distill.cli:distill", "Train an adapter."),
    "evaluate": ("distill.cli:evaluate", "Quality of bundles and baselines on a folder of photos."),
}

# packages of an extra -> the extra; any other failed import is a bug and keeps its traceback
EXTRAS = {
    "export": ("torch", "diffusers", "transformers", "onnx", "onnx_ir", "onnxscript"),
    "distill": ("accelerate", "cv2", "tokenizers", "yaml"),
    "flax": ("msgpack", "tensorstore"),
}


class Verbs(click.Group):
    """A group whose commands are strings until they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the table's order, which is the order of work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the verb."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb and its arguments. Refuses an option that counts once and is given twice: click would drop the
        first without a word."""
        name, command, rest = super().resolve_command(ctx, args)
        if command:
            context = click.Context(command, parent=ctx, info_name=name)
            *_, given = command.make_parser(context).parse_args(list(rest))
            for option, times in Counter(given).items():
                if times > 1 and isinstance(option, click.Option) and not (option.multiple or option.is_flag):
                    raise click.UsageError(f"{option.opts[-1]} is given {times} times, and counts once", context)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


@click.group(cls=Verbs, epilog="Start with: codi-export build --task sr --steps 2 -o sr-2step")
@click.version_option(__version__, prog_name="codi-export")
def cli() -> None:
    """A diffusion backbone, a CoDi adapter and its sampler as one ONNX graph."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done; 1 something that the user can mend, or a failed gate; 2 wrong usage."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # transformers would draw its own
    try:
        return cli.main(words or ["--help"], prog_name="codi-export", standalone_mode=False) or 0
    except click.UsageError as error:
        return _usage(error, as_json)
    except CodiError as error:
        return _failed(error, as_json)
    except ModuleNotFoundError as error:
        return _failed(_missing_package(error), as_json)
    except click.Abort:
        terminal.say("stopped")
        return 130


def _usage(error: click.UsageError, as_json: bool) -> int:
    path = error.ctx.command_path if error.ctx else "codi-export"
    _failed(CodiError(ErrorCode.BAD_OPTION, error.format_message(), f"{path} --help"), as_json)
    return 2


def _failed(error: CodiError, as_json: bool) -> int:
    if as_json:
        terminal.print_json({"error": terminal.error_json(error)})
    terminal.say_error(error)
    return 1


def _missing_package(error: ModuleNotFoundError) -> CodiError:
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            hint = f"pip install 'codi-export[{extra}]'"
            return CodiError(ErrorCode.MISSING_PACKAGE, f"this needs {package}, which is not installed", hint)
    raise error


if __name__ == "__main__":
    sys.exit(main())
