"""A run folder as one page, `training.html`: curves, warnings, and the validation grid over time. It loads nothing."""

import base64
import io
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from codi_export.files import write

from . import chart, checkpoint, history
from .chart import Point, Series
from .diagnostics import Watch
from .history import Row

NAME = "training.html"
GRIDS_BYTES = 2_000_000  # of all grids together, as JPEG; the page is a third larger
WIDTHS = (1000, 800, 640, 480, 320, 240)  # pixels, tried from the left
ABOUT = {
    "diversity": "distance between two seeds; dotted: theirs to the data; too low below the dashes",
    "chroma": "strength of colour; dotted: the data's",
    "clipped": "share of black and white values; dotted: the data's",
    "loss_variance": "variance of recent losses over their squared mean",
    "drift": "distance of the target network to what is trained, over its size",
}
STYLE = """
:root{color-scheme:light dark;--page:#fff;--ink:#1d2430;--soft:#657080;--rule:#dfe3e9;--line:#1f66c1;--bad:#c0392b;
--warn:#fdf1ee}
@media(prefers-color-scheme:dark){:root{--page:#14171c;--ink:#e4e8ee;--soft:#98a2b0;--rule:#2d333c;--line:#6aa9f7;
--bad:#ff8a75;--warn:#2e1d1b}}
body{margin:0 auto;max-width:80rem;padding:1rem;background:var(--page);color:var(--ink);
font:1rem/1.45 system-ui,sans-serif}
h1{margin:.2rem 0;font-size:1.5rem;overflow-wrap:anywhere}h2{margin:2rem 0 .6rem;font-size:1.15rem}
p{margin:.3rem 0}.soft,figcaption span{color:var(--soft);font-size:.85rem}
.warning{margin:.8rem 0;padding:.6rem .8rem;border-left:4px solid var(--bad);background:var(--warn)}
.charts,.grids{display:grid;gap:1.2rem 1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr))}
.grids{grid-template-columns:repeat(auto-fill,minmax(min(100%,32rem),1fr))}
figure{margin:0;min-width:0}figcaption{display:flex;flex-wrap:wrap;gap:0 .6rem;align-items:baseline}
svg,img{display:block;width:100%;height:auto}
text{fill:var(--soft);font-size:11px;font-family:inherit}.grid{stroke:var(--rule)}
polyline{fill:none;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.line polyline{stroke:var(--line);stroke-width:2}.line circle{fill:var(--line)}
.raw polyline{stroke:var(--line);opacity:.3}.raw circle{display:none}
.other polyline{stroke:var(--soft);stroke-width:1.5;stroke-dasharray:1.5 4;stroke-linecap:round}
.limit polyline{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:7 4}.other circle,.limit circle{display:none}
.settings{display:grid;gap:.1rem 1.5rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));
font-size:.85rem}.settings div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--rule)}
.settings b{color:var(--soft);font-weight:400}.settings span{text-align:right;overflow-wrap:anywhere}
"""


def make(folder: Path, output: Path | None = None) -> Path:
    """Write the page of a run folder, into it or to `output`. Raises CodiError (missing-file) without a log."""
    rows = history.read(folder)
    if not rows:
        raise CodiError(ErrorCode.MISSING_FILE, f"{folder} holds no {history.NAME}", "name the folder of a run")
    output = output or folder / NAME
    write(output, _page(folder, rows).encode())
    return output


def _page(folder: Path, rows: Sequence[Row]) -> str:
    end = max(row["step"] for row in rows)
    losses = [row for row in rows if "loss" in row]
    scores = [row for row in rows if "loss" not in row and "warning" not in row]
    plain = [name for name in _names(scores) if name not in ABOUT and not name.endswith("_data")]
    watched = [name for name in ABOUT if name in _names(scores)]
    sections = [
        ("Loss", "charts", [_loss(name, losses, end) for name in _names(losses)]),
        ("Validation", "charts", [_score(name, scores, end) for name in plain]),
        ("Diagnostics", "charts", [_watched(name, scores, end) for name in watched]),
        ("Validation grid over time", "grids", _grids(folder, scores, plain)),
        ("Settings", "settings", _settings(folder)),
    ]
    title = escape(folder.resolve().name)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f'<p class="soft">{end:,.0f} steps, {_duration(rows[-1]["seconds"])} of training</p>'
        + "".join(_warning(row) for row in rows if "warning" in row)
        + "".join(_section(*section) for section in sections)
        + "</html>\n"
    )


def _section(title: str, kind: str, parts: Sequence[str]) -> str:
    return f'<h2>{title}</h2><div class="{kind}">{"".join(parts)}</div>' if parts else ""


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row if name not in ("step", "seconds")))


def _points(name: str, rows: Sequence[Row]) -> list[Point]:
    return [(row["step"], row[name]) for row in rows if name in row and math.isfinite(row[name])]


def _loss(name: str, rows: Sequence[Row], end: float) -> str:
    points = _points(name, rows)
    return _figure(name, "", [Series("raw", points), Series("line", chart.smooth(points))], end)


def _score(name: str, rows: Sequence[Row], end: float) -> str:
    return _figure(name, "", [Series("line", _points(name, rows))], end)


def _watched(name: str, rows: Sequence[Row], end: float) -> str:
    rows = [row for row in rows if name in row]
    limit = [(row["step"], Watch().limit(name, row)) for row in rows]
    curves = [Series("limit", limit), Series("other", _points(f"{name}_data", rows))]
    return _figure(name, ABOUT[name], [*curves, Series("line", _points(name, rows))], end)


def _figure(name: str, about: str, curves: Sequence[Series], end: float) -> str:
    """A chart under its name, the last value of the last curve, and a word about it."""
    if not curves[-1].points:
        return ""
    caption = f"<b>{escape(name)}</b> {curves[-1].points[-1][1]:.4g} <span>{about}</span>"
    return f"<figure><figcaption>{caption}</figcaption>{chart.draw(name, curves, end)}</figure>"


def _warning(row: Row) -> str:
    return f'<p class="warning">step {row["step"]:,.0f}: {escape(row["warning"])}</p>'


def _grids(folder: Path, scores: Sequence[Row], told: Sequence[str]) -> list[str]:
    """The grids by step, each with the scores `told`. `grid.png` is the end's: of the last validation whose step no
    other grid is named after."""
    files = {int(file.stem.removeprefix("grid-")): file for file in sorted(folder.glob("grid-*.png"))}
    ends = [int(row["step"]) for row in scores if row["step"] not in files]
    if ends and (final := folder / "grid.png").exists():
        files[ends[-1]] = final
    by_step = {row["step"]: row for row in scores}
    made = []
    for step, file in sorted(files.items()):
        row = by_step.get(step, {})
        said = " ".join(f"{name} {row[name]:.4g}" for name in told if name in row)
        picture = base64.b64encode(_jpeg(file, GRIDS_BYTES // len(files))).decode()
        image = f'<img alt="validation grid at step {step}" src="data:image/jpeg;base64,{picture}">'
        made.append(f"<figure><figcaption><b>step {step:,}</b><span>{said}</span></figcaption>{image}</figure>")
    return made


def _jpeg(file: Path, most: int) -> bytes:
    """The picture as JPEG, as wide as `most` bytes allow."""
    content = b""
    with Image.open(file) as picture:
        for width in WIDTHS:
            small = picture.convert("RGB")
            small.thumbnail((width, picture.height), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=82, optimize=True)
            content = buffer.getvalue()
            if len(content) <= most:
                break
    return content


def _settings(folder: Path) -> list[str]:
    settings = checkpoint.settings(folder).items()
    return [f"<div><b>{escape(name)}</b><span>{escape(str(value))}</span></div>" for name, value in settings]


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
