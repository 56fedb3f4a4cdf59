"""What quality costs in time: perceptual distance against latency, published networks beside ours, the Pareto front.

    codi-export evaluate BUNDLE... --data PHOTOS --rival NAME... --json > quality.json
    python -m benchmarks.quality_speed quality.json -o benchmarks/results/cpu

Nothing is measured here: `evaluate` has judged and timed all of them in one run, on the same crops and threads. There
is a panel for each kind of input, since a network was trained for one of them.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import compare
from codi_export.errors import CodiError, ErrorCode

NAME = "quality_speed"
LEFT_OUT = ("VAE round trip",)  # it has seen the answer

Row = Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, draw, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quality", type=Path, help="what `codi-export evaluate --json` printed")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the JSON and the plot")
    options = parser.parse_args(arguments)
    quality = json.loads(options.quality.read_text())
    panels = {kind: points(rows) for kind, rows in by_degradation(quality["rows"]).items()}
    made = {**{key: value for key, value in quality.items() if key != "rows"}, "benchmark": NAME, "panels": panels}
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{NAME}.json").write_text(json.dumps(made, indent=1) + "\n")
    note = quality.get("latency_note", "")  # what `evaluate`'s caller knew of the machine
    draw(panels, quality["metrics"]["perceptual"], options.output / f"{NAME}.png", note)
    print(table(panels))
    print(f"note: {note}" if note else "")


def by_degradation(rows: Sequence[Row], leave_out: Sequence[str] = LEFT_OUT) -> dict[str, list[Row]]:
    """Kind of input -> its rows."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        if row["name"] not in leave_out:
            kinds.setdefault(row["degradation"], []).append(row)
    return kinds


def points(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Name, latency, distance with its interval over photos, and whether it is on the front; the fastest first."""
    front = pareto([(row["latency_ms"], row["perceptual"]) for row in rows])
    made = [
        {
            "name": row["name"],
            "latency_ms": row["latency_ms"],
            "perceptual": row["perceptual"],
            "interval": row["interval"]["perceptual"],
            "front": index in front,
        }
        for index, row in enumerate(rows)
    ]
    return sorted(made, key=lambda point: point["latency_ms"])


def pareto(costs: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of those that none beats in both costs at once, nor in one at the same other."""

    def beaten(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return b != a and b[0] <= a[0] and b[1] <= a[1]

    return {index for index, one in enumerate(costs) if not any(beaten(one, other) for other in costs)}


def draw(panels: Mapping[str, Sequence[Row]], metric: str, file: Path, note: str = "") -> None:
    """A PNG, with the note on it. Raises CodiError (missing-package) without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE, "the plot needs the package matplotlib", "pip install 'codi-export[plots]'"
        ) from None
    figure = Figure(figsize=(6.4 * len(panels), 4.6), layout="constrained")
    for index, (kind, some) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        front = [point for point in some if point["front"]]
        axes.step(
            [p["latency_ms"] for p in front], [p["perceptual"] for p in front], where="post", color="0.6", zorder=1
        )
        for point in some:
            ours = "step" in point["name"]
            side, slant, turn = (-1, -60, "top") if ours else (1, 30, "bottom")  # slanted names cross no neighbour's
            low, high = point["interval"]
            axes.plot([point["latency_ms"]] * 2, [low, high], color="0.8", zorder=0)
            axes.plot(point["latency_ms"], point["perceptual"], "o", color="C0" if ours else "C1", zorder=2)
            at = (point["latency_ms"], point["perceptual"])
            axes.annotate(
                point["name"], at, (3, 3 * side), textcoords="offset points", fontsize=7.5, rotation=slant, va=turn
            )
        axes.set(
            xscale="log", xlabel="ms a picture (log)", ylabel=f"{metric} (lower is better)", title=f"inputs: {kind}"
        )
        axes.margins(x=0.18)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(note, color="C3", fontsize=9)
    figure.savefig(file, dpi=130)


def table(panels: Mapping[str, Sequence[Row]]) -> str:
    """Markdown."""
    lines = [
        ["inputs", "", "ms", "perceptual ↓", "95 % over photos", "on the front"],
        ["---", "---", *["---:"] * 3, "---"],
    ]
    for kind, some in panels.items():
        for index, point in enumerate(some):
            low, high = point["interval"]
            figures = [f"{point['latency_ms']:.0f}", f"{point['perceptual']:.3f}", f"{low:.3f} to {high:.3f}"]
            lines.append([kind if index == 0 else "", point["name"], *figures, "yes" if point["front"] else ""])
    return compare.markdown(lines)


if __name__ == "__main__":
    main()
