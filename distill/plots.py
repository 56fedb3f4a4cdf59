"""Findings as one picture: every entry a row, every metric and condition a panel, means with their intervals."""

from pathlib import Path

from codi_export.errors import CodiError, ErrorCode

from .findings import Findings, Row
from .markdown import HEADINGS

PANEL, LINE = 3.2, 0.24  # inches


def draw(findings: Findings, file: Path) -> None:
    """Write a PNG. Raises CodiError (missing-package) without matplotlib."""
    try:
        from matplotlib.figure import Figure  # not pyplot: no display, no global state
    except ImportError:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE, "the plot needs the package matplotlib", "pip install 'codi-export[plots]'"
        ) from None
    panels = _panels(findings)
    longest = max((len(rows) for _, rows in panels), default=1)
    figure = Figure(figsize=(2 + PANEL * max(1, len(panels)), 1.2 + LINE * longest), layout="constrained")
    for index, ((metric, condition), rows) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for place, row in enumerate(rows):
            found = row.figures[metric]
            colour = f"C{list(dict.fromkeys(r.entry.arm for r in rows)).index(row.entry.arm)}"
            axes.plot([found.low, found.high], [place, place], color=colour)
            axes.plot([found.mean], [place], "o", color=colour)
        axes.set_yticks(range(len(rows)), [str(row.entry) for row in rows], fontsize=7)
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(f"{HEADINGS[metric]}, {condition}", fontsize=9)
    figure.savefig(file, dpi=120)


def _panels(findings: Findings) -> list[tuple[tuple[str, str], list[Row]]]:
    conditions = dict.fromkeys(row.condition for row in findings.rows)
    return [
        ((metric, condition), [row for row in findings.rows if row.condition == condition])
        for metric in findings.experiment.metrics
        for condition in conditions
    ]
