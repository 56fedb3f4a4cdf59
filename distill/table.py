"""The rows of `evaluate` as Markdown for people and as JSON for machines."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from codi_export import machine

from .evaluate import Row, Tile
from .judges import KID_NAME, PERCEPTUAL_NAME
from .metrics import grid_levels, interval
from .rivals.published import RIVALS

BETTER = {"psnr_db": +1, "ssim": +1, "perceptual": -1, "kid": -1}  # the direction of improvement
DIGITS = {"psnr_db": 2, "ssim": 3, "perceptual": 3, "kid": 0}
HEADINGS = (
    "", "steps", "PSNR dB ↑", "SSIM ↑", "perceptual ↓", "KID ×10³ ↓",
    "colour shift R G B", "grid dB", "grid levels", "ms",
)  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Markdown; `caption` explains the marks."""
    return markdown(HEADINGS, (_cells(row, rows[0]) for row in rows))


def markdown(headings: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of cells."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(row: Row, baseline: Row) -> list[str]:
    scores = [f"{_value(row, metric):.{DIGITS[metric]}f}{_mark(row, baseline, metric)}" for metric in BETTER]
    shift = " ".join(f"{channel:+.1f}" for channel in row.draws["colour_shift"][0])
    steps = "–" if row.steps is None else str(row.steps)
    grid = [f"{_value(row, 'grid_db'):+.1f}", f"{_value(row, 'grid_levels'):.2f}"]
    return [row.name, steps, *scores, shift, *grid, f"{row.latency_ms:.0f}"]


def _value(row: Row, metric: str) -> float:
    return float(row.draws[metric][0])


def _mark(row: Row, baseline: Row, metric: str) -> str:
    low, high = _difference(row, baseline, metric)
    if low <= 0 <= high:
        return ""
    return " ▲" if low * BETTER[metric] > 0 else " ▼"


def _difference(row: Row, baseline: Row, metric: str) -> tuple[float, float]:
    """Interval of row minus baseline; both were drawn with the same weights, so the difference is paired by photo."""
    return interval(row.draws[metric] - baseline.draws[metric])


def caption(tiles: Sequence[Tile], threads: int, rivals: Sequence[str] = ()) -> str:
    """What a table was measured on."""
    photos = {tile.photo for tile in tiles}
    reflected = sorted({tile.photo for tile in tiles if tile.reflected})
    return (
        f"{len(tiles)} crops of {len(photos)} photos; mirrored at their edges because they are smaller than a crop: "
        f"{', '.join(reflected) or 'none'}. The originals' own grid levels: {_grid_levels(tiles):.2f}. "
        f"perceptual: {PERCEPTUAL_NAME}. KID: {KID_NAME}. "
        "▲ better and ▼ worse than the first row: the 95 % interval of the difference, over photos, excludes 0. "
        f"Threads: {threads}.{''.join(f' {name}: {_about(name)}.' for name in rivals)}"
    )


def _about(name: str) -> str:
    """Which network a rival is, and whose; it runs in torch, as published."""
    rival = RIVALS[name]
    return f"{rival.about}; {rival.package.origin}"


def _grid_levels(tiles: Sequence[Tile]) -> float:
    """Of the originals, mean over photos, as in the table."""
    by_photo: dict[str, list[float]] = {}
    for tile in tiles:
        by_photo.setdefault(tile.photo, []).append(grid_levels(tile.pixels))
    return fmean(map(fmean, by_photo.values()))


def as_json(tables: Mapping[str, Sequence[Row]], seed: int, threads: int, rivals: Sequence[str] = ()) -> dict[str, Any]:
    """Tables by the name of their degradation, and the machine. `difference` is that to the first row."""
    rows = [_row_json(degradation, row, rows[0]) for degradation, rows in tables.items() for row in rows]
    networks = {"perceptual": PERCEPTUAL_NAME, "kid": KID_NAME}
    settings = {"seed": seed, "threads": threads}
    about = {name: _about(name) for name in rivals}
    return {**machine.conditions(), **settings, "rows": rows, "metrics": networks, "rivals": about}


def _row_json(degradation: str, row: Row, baseline: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "degradation": degradation,
        "steps": row.steps,
        **{metric: _value(row, metric) for metric in BETTER},
        "latency_ms": row.latency_ms,
        "n": row.tiles,
        "colour_shift": row.draws["colour_shift"][0].tolist(),
        "grid_db": _value(row, "grid_db"),
        "grid_levels": _value(row, "grid_levels"),
        "interval": {metric: interval(row.draws[metric]) for metric in BETTER},
        "difference": {metric: _difference(row, baseline, metric) for metric in BETTER},
    }
