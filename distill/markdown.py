"""Findings as Markdown for people."""

from collections.abc import Iterable, Sequence
from statistics import mean
from typing import Any

from . import table
from .arms import LISTS
from .experiments import Entry
from .findings import Findings, Row, Verdict, finished, seconds
from .judges import KID_NAME, PERCEPTUAL_NAME
from .statistics import Estimate
from .trials import Plan

HEADINGS = {
    "perceptual": "perceptual ↓", "psnr_db": "PSNR dB ↑", "chroma": "chroma − data's", "clipped": "clipped − data's",
}  # fmt: skip
DIGITS = {"perceptual": 4, "psnr_db": 2, "chroma": 4, "clipped": 4}


def page(findings: Findings, plan: Plan, speed: dict[str, Any] | None = None) -> str:
    """The whole answer to one question."""
    lists = dict.fromkeys(entry.list for entry in findings.experiment.entries)
    parts = [
        f"# {findings.experiment.question}",
        _budget(plan),
        *answers(findings),
        *([_speed(findings, speed)] if speed else []),
        "Lists of timesteps: " + "; ".join(f"*{name}* {_timesteps(name)}" for name in lists) + ".",
        _caption(findings),
    ]
    return "\n\n".join(parts) + "\n"


def answers(findings: Findings, trained: bool = True) -> Sequence[str]:
    """The rows, with what training took if there was any, and the comparisons."""
    return _rows(findings, trained), "Comparisons, paired by seed and picture:", _verdicts(findings.verdicts)


def _budget(plan: Plan) -> str:
    return (
        f"Each arm: {plan.steps} optimiser steps of {plan.batch_size} crops of 32 pixels on `{plan.model}`, two-stage "
        "arms in halves. A small budget: it ranks methods under it, and says nothing of what they reach in the end."
    )


def _rows(findings: Findings, trained: bool) -> str:
    metrics = findings.experiment.metrics
    kid = any(row.kid is not None for row in findings.rows)
    ratio = findings.experiment.reference
    headings = ["arm", "list", "condition", *(HEADINGS[metric] for metric in metrics)]
    headings += ["KID ×10³ ↓"] * kid + [f"{metrics[0]}, ratio to {ratio}"] * bool(ratio)
    headings += ["seeds"] + ["training s"] * trained

    def cells(row: Row) -> Iterable[str]:
        yield from (row.entry.arm, row.entry.list, row.condition)
        yield from (_interval(row.figures[metric], DIGITS[metric]) for metric in metrics)
        yield from ["–" if row.kid is None else f"{row.kid:.1f}"] * kid
        yield from ["–" if row.ratio is None else f"{row.ratio:.3f}"] * bool(ratio)
        yield str(row.figures[metrics[0]].seeds)
        yield from [_seconds(findings, row.entry)] if trained else []

    return table.markdown(headings, map(cells, findings.rows))


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    headings = ["", "than", "condition", "metric", "difference", "p", "Holm p", "verdict"]

    def cells(verdict: Verdict) -> Iterable[str]:
        one, other, metric = verdict.comparison
        found = verdict.difference
        yield from (str(one), str(other), verdict.condition, metric, _interval(found, DIGITS[metric], "+"))
        yield from (f"{found.p:.4f}", f"{verdict.corrected:.4f}", verdict.word)

    return table.markdown(headings, map(cells, verdicts))


def _speed(findings: Findings, speed: dict[str, Any]) -> str:
    keys = ("condition", "step", "decode", "2 steps", "4 steps")
    headings = ["arm", "trained parameters", "prior's error", *(f"{key} ms" for key in keys)]

    def cells(name: str) -> Iterable[str]:
        trained = [one for trial, one in findings.scores.items() if trial.arm == name]
        yield from (name, f"{trained[0]['parameters']:,}" if trained else "–")
        yield f"{mean(one['prior'] for one in trained):.3f}" if trained else "–"
        yield from (f"{speed['arms'][name][key]:.1f}" for key in keys)

    caption = (
        f"One picture in torch on {speed['processor']}, {speed['threads']} threads; medians, arms in turns. The "
        "prior's error is that of the U-Net without the adapter, in v, on the pictures that are judged:"
    )
    return caption + "\n\n" + table.markdown(headings, map(cells, speed["arms"]))


def _seconds(findings: Findings, entry: Entry) -> str:
    spent = [seconds(findings.scores, entry.arm, seed) for seed in finished(findings.scores, entry.arm)]
    return f"{sum(spent) / len(spent):.0f}"


def _timesteps(name: str) -> str:
    ts = LISTS[name]
    return ", ".join(map(str, ts)) if len(ts) <= 8 else f"{ts[0]}, {ts[1]}, … {ts[-1]}"


def _caption(findings: Findings) -> str:
    missing = ", ".join(f"{trial.arm} seed {trial.seed}" for trial in findings.missing)
    return (
        f"Means and 95 % intervals over seeds and pictures. perceptual: {PERCEPTUAL_NAME}; KID: {KID_NAME}, for 200 "
        "pictures or more. A verdict needs an interval of the difference without 0 and Holm's p below .05 over all "
        "comparisons of this page; with one seed there is none, for another training may come out otherwise. "
        f"Unfinished: {missing or 'nothing'}."
    )


def _interval(found: Estimate, digits: int, sign: str = "") -> str:
    return f"{found.mean:{sign}.{digits}f} [{found.low:{sign}.{digits}f}, {found.high:{sign}.{digits}f}]"
