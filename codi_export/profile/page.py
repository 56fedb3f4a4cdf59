"""Results as one page that needs nothing else: style, script and figures are inside, and it asks no network."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from codi_export import files
from codi_export.errors import CodiError
from codi_export.profile import compare as comparing
from codi_export.profile.result import Result
from codi_export.profile.result_file import TOP, to_dict

FOLDER = Path(__file__).parent

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
<noscript>This page draws its figures with JavaScript, which is off. They are in its source, as JSON.</noscript>
<main id="main"></main>
<script type="application/json" id="data">{data}</script>
<script>
{script}</script>
</html>
"""


def write(results: Sequence[Result], path: Path) -> None:
    """One or more results; with several, the others are compared with the first. Raises CodiError (write-failed)."""
    files.write(path, page(results).encode())


def page(results: Sequence[Result]) -> str:
    """The page's text."""
    data = {"results": [_drawn(result) for result in results], "compared": _compared(results)}
    return PAGE.format(
        title=escape(" · ".join(dict.fromkeys(result.subject.graph for result in results)) + " profile"),
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        script=(FOLDER / "page.js").read_text(encoding="utf-8"),
        data=_json(data),
    )


def _drawn(result: Result) -> dict[str, Any]:
    """What `to_dict` gives, with stages and nodes in the breakdown, where the script looks for them."""
    value = to_dict(result)
    top = {name: value.pop(name) for name in TOP}
    if value["breakdown"]:
        value["breakdown"] |= top
    return value


def _compared(results: Sequence[Result]) -> list[dict[str, Any] | None]:
    """For each result after the first: how it compares with the first; None where there is nothing to compare."""
    compared: list[dict[str, Any] | None] = []
    for other in results[1:]:
        try:
            compared.append(comparing.to_dict(comparing.compare(results[0], other, any_bundle=True)))
        except CodiError:
            compared.append(None)
    return compared


def _json(value: Any) -> str:
    """JSON that cannot end the script that it lies in."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
