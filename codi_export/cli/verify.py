"""codi-export verify"""

from pathlib import Path

import click

from codi_export.cli import terminal
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.verify import Check, checks


@click.command(epilog="Example: codi-export verify sr-2step")
@click.argument("bundle", type=click.Path(path_type=Path))
@terminal.provider_option
@terminal.backend_option
@terminal.json_option
@click.pass_context
def verify(context: click.Context, bundle: Path, provider: str, backend: str, as_json: bool) -> None:
    """Is BUNDLE what was built, and does it compute here what torch computed there?

    Exit status 1 if a file has changed or is missing, or if the graph's output for the stored picture and noise is off.
    """
    done: list[Check] = []
    for check in checks(bundle, provider, backend):
        done.append(check)
        click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.detail}", err=as_json)
    failed = [check for check in done if not check.ok]
    if as_json:
        _print_json(done, failed)
    if failed:
        terminal.say_error(_error(failed, len(done)))
    context.exit(1 if failed else 0)


def _print_json(done: list[Check], failed: list[Check]) -> None:
    rows = [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in done]
    error = {"error": terminal.error_json(_error(failed, len(done)))} if failed else {}
    terminal.print_json({"ok": not failed, "checks": rows, **error})


def _error(failed: list[Check], total: int) -> CodiError:
    names = ", ".join(check.name for check in failed)
    first = failed[0]
    return CodiError(ErrorCode(first.code), f"{len(failed)} of {total} checks failed: {names}", first.hint)
