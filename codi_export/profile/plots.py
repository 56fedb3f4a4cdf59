"""Figures of results as PNGs, for papers and READMEs; matplotlib draws them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.profile.result import Result

MB = 1e-6
NODES = 15  # of the slowest


def draw(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write into `folder` what the results have figures for; returns the files.

    Raises CodiError (missing-package, write-failed).
    """
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for index, result in enumerate(results):
        stem = result.subject.graph if len(results) == 1 else f"{index + 1}-{result.subject.graph}"
        for name, paint in PLOTS.items():
            figure, axes = _figure()
            if paint(axes, result):
                drawn.append(_save(figure, folder / f"{stem}-{name}.png"))
    if len(results) > 1:
        figure, axes = _figure()
        _comparison(axes, results)
        drawn.append(_save(figure, folder / "comparison.png"))
    return drawn


def _figure() -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure  # not pyplot: no display, no global state
    except ImportError:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE, "the plots need the package matplotlib", "pip install 'codi-export[plots]'"
        ) from None
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    with files.writing(path):
        figure.savefig(path, dpi=150)
    return path


def _latency(axes: Any, result: Result) -> bool:
    whole = [ms for run in result.runs for ms in run.end_to_end_ms]
    engine = [ms for run in result.runs for ms in run.engine_ms]
    if not whole:
        return False
    axes.hist([whole, engine], bins=min(40, max(8, len(whole) // 3)), label=["end to end", "engine"])
    axes.axvline(
        sorted(whole)[(len(whole) - 1) // 2], color="black", linestyle="--", linewidth=1, label="p50 end to end"
    )
    axes.set(xlabel="ms", ylabel="calls")
    axes.set_title(_title(result), fontsize=10)
    axes.legend(frameon=False)
    return True


def _stages(axes: Any, result: Result) -> bool:
    if not result.breakdown:
        return False
    found = result.breakdown
    rows = [(stage.name, stage.ms) for stage in found.stages] + [("unattributed", found.unattributed_ms)]
    bars = axes.barh([name for name, _ in rows], [ms for _, ms in rows])
    axes.bar_label(bars, [f"{ms:.3g} ms" for _, ms in rows], padding=4, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.14)
    axes.set(xlabel=f"ms of a call of {found.engine_ms:.4g}")
    axes.set_title(_title(result), fontsize=10)
    return True


def _nodes(axes: Any, result: Result) -> bool:
    if not result.breakdown:
        return False
    slowest = result.breakdown.nodes[:NODES]
    axes.barh([f"{node.op}  {node.name.partition('/')[2][-44:]}" for node in slowest], [node.ms for node in slowest])
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7)
    axes.set(xlabel="ms")
    axes.set_title(_title(result), fontsize=10)
    return True


def _roofline(axes: Any, result: Result) -> bool:
    found = result.breakdown
    if not found or not found.peak_flops_per_s or not found.peak_bytes_per_s:
        return False
    dots = [
        (node.flops / node.bytes, node.flops / node.ms * 1e-6, node)
        for node in found.nodes
        if node.flops and node.bytes
    ]
    if not dots:
        return False
    for stage in found.stages:
        own = [(x, y, 6 + 4 * node.ms) for x, y, node in dots if node.stage == stage.name]
        if own:
            axes.scatter(*zip(*own, strict=True), alpha=0.7, label=stage.name)
    peak, pace = found.peak_flops_per_s * 1e-9, found.peak_bytes_per_s * 1e-9
    right = max(2 * peak / pace, *(x for x, _, _ in dots))
    left = min(peak / pace / 2, *(x for x, _, _ in dots))
    axes.plot([left, peak / pace, right], [left * pace, peak, peak], color="black", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="FLOP a byte", ylabel="GFLOP/s")
    axes.set_title(_title(result), fontsize=10)
    axes.legend(frameon=False, fontsize=7, loc="lower right")
    return True


def _memory(axes: Any, result: Result) -> bool:
    lines = {
        "this process": [(r.time_s, r.rss_bytes * MB) for r in result.readings if r.rss_bytes is not None],
        "device": [(r.time_s, r.device_bytes * MB) for r in result.readings if r.device_bytes is not None],
    }
    if not any(lines.values()):
        return False
    for name, line in lines.items():
        if line:
            axes.plot(*zip(*line, strict=True), label=name)
    axes.set(xlabel="seconds", ylabel="MB", ylim=(0, None))
    axes.set_title(_title(result), fontsize=10)
    axes.legend(frameon=False)
    return True


def _comparison(axes: Any, results: Sequence[Result]) -> None:
    for place, result in enumerate(results):
        if times := result.end_to_end_ms:
            axes.plot([times.min, times.p99], [place, place], linewidth=2)
            axes.plot([times.p50], [place], "o", color="black")
    labels = [f"{k + 1}. {one.subject.graph}, {one.runtime.backend}" for k, one in enumerate(results)]
    axes.set_yticks(range(len(results)), labels)
    axes.invert_yaxis()
    axes.set(xlabel="ms end to end: minimum to p99, dot at p50", xlim=(0, None))


def _title(result: Result) -> str:
    marked = ", see its notes" if result.marks else ""
    return f"{result.subject.graph} on {result.device.name}, {result.runtime.backend}{marked}"


PLOTS: dict[str, Callable[[Any, Result], bool]] = {
    "latency": _latency,
    "stages": _stages,
    "nodes": _nodes,
    "roofline": _roofline,
    "memory": _memory,
}
