"""What finished trials say: rows with intervals, comparisons with verdicts, and which trials are missing.

Computed from the scores alone, so it can be asked for at any time.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import arms, trials
from .arms import LISTS
from .experiments import METRICS, Comparison, Entry, Experiment
from .statistics import Estimate, Floats, certain, estimate, holm
from .trials import Plan, Trial

Scores = dict[Trial, dict[str, Any]]  # of finished trials


@dataclass(frozen=True, slots=True)
class Row:
    """An entry on one condition, over all finished seeds. `kid` (x 1000) is the mean over seeds, None for fewer than
    200 pictures; `ratio` that of the first metric to the reference's."""

    entry: Entry
    condition: str
    figures: dict[str, Estimate]
    kid: float | None
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A comparison on one condition: `one` minus `other`, paired by seed and photo."""

    comparison: Comparison
    condition: str
    difference: Estimate
    corrected: float  # Holm, over all comparisons of the experiment

    @property
    def word(self) -> str:
        """What may be claimed: `better` or `worse`, `higher` or `lower` where neither is good; else nothing."""
        if not certain(self.difference, self.corrected):
            return "one seed" if self.difference.seeds == 1 else "not certain"
        up = self.difference.mean > 0
        direction = METRICS[self.comparison.metric]
        return ("higher" if up else "lower") if not direction else "better" if up == (direction > 0) else "worse"


@dataclass(frozen=True, slots=True)
class Findings:
    """All that is known of an experiment."""

    experiment: Experiment
    scores: Scores
    missing: list[Trial]
    rows: list[Row]
    verdicts: list[Verdict]


def gather(experiment: Experiment, plan: Plan, seeds: Sequence[int]) -> Findings:
    """What there is by now."""
    wanted = trials.trials(experiment.arms, seeds)
    found = {trial: trials.read(plan, trial) for trial in wanted}
    scores = {trial: one for trial, one in found.items() if one is not None}
    missing = [trial for trial, one in found.items() if one is None]
    return of(experiment, scores, missing)


def of(experiment: Experiment, scores: Scores, missing: Sequence[Trial] = ()) -> Findings:
    """What these scores say."""
    return Findings(experiment, scores, list(missing), _rows(experiment, scores), _verdicts(experiment, scores))


def table(scores: Scores, entry: Entry, condition: str, metric: str, seeds: Sequence[int]) -> Floats:
    """The figures of an entry.  # [seeds, pictures]"""
    return np.array([scores[Trial(entry.arm, seed)]["lists"][entry.list][condition][metric] for seed in seeds])


def finished(scores: Scores, *names: str) -> list[int]:
    """The seeds with which all these arms are finished."""
    seeds = dict.fromkeys(trial.seed for trial in scores)
    return [seed for seed in seeds if all(Trial(name, seed) in scores for name in names)]


def seconds(scores: Scores, name: str, seed: int) -> float:
    """What training an arm took, the arm that it goes on from included."""
    return float(sum(scores[Trial(one, seed)]["seconds"]["training"] for one in arms.with_stages([name])))


def as_json(findings: Findings, plan: Plan) -> dict[str, Any]:
    """For machines: the settings, every figure of every picture, rows and comparisons."""
    wanted = [*findings.scores, *findings.missing]
    return {
        "question": findings.experiment.question,
        "plan": plan.settings(),
        "lists": {entry.list: LISTS[entry.list] for entry in findings.experiment.entries},
        "arms": {name: asdict(arms.get(name)) for name in dict.fromkeys(trial.arm for trial in wanted)},
        "unfinished": [trial._asdict() for trial in findings.missing],
        **answers(findings),
    }


def answers(findings: Findings) -> dict[str, Any]:
    """Rows, comparisons and every figure of every picture."""
    return {
        "rows": [{**asdict(row), "entry": str(row.entry)} for row in findings.rows],
        "comparisons": [_verdict_json(verdict) for verdict in findings.verdicts],
        "trials": list(findings.scores.values()),
    }


def _rows(experiment: Experiment, scores: Scores) -> list[Row]:
    reference = experiment.reference
    rows = []
    for entry in experiment.entries:
        seeds = finished(scores, entry.arm)
        for condition in _conditions(scores, entry, seeds):
            figures = {m: estimate(table(scores, entry, condition, m, seeds)) for m in experiment.metrics}
            ratio = _ratio(scores, entry, reference, condition, experiment.metrics[0]) if reference else None
            rows.append(Row(entry, condition, figures, _kid(scores, entry, condition, seeds), ratio))
    return rows


def _conditions(scores: Scores, entry: Entry, seeds: Sequence[int]) -> list[str]:
    return list(scores[Trial(entry.arm, seeds[0])]["lists"][entry.list]) if seeds else []


def _kid(scores: Scores, entry: Entry, condition: str, seeds: Sequence[int]) -> float | None:
    values = [scores[Trial(entry.arm, seed)]["lists"][entry.list][condition]["kid"] for seed in seeds]
    return None if None in values else float(np.mean(values))


def _ratio(scores: Scores, entry: Entry, reference: Entry, condition: str, metric: str) -> float | None:
    seeds = finished(scores, entry.arm, reference.arm)
    if not seeds:
        return None
    one, other = (table(scores, at, condition, metric, seeds).mean() for at in (entry, reference))
    return float(one / other)


def _verdicts(experiment: Experiment, scores: Scores) -> list[Verdict]:
    found = []
    for one, other, metric in experiment.comparisons:
        seeds = finished(scores, one.arm, other.arm)
        for condition in _conditions(scores, one, seeds):
            first, second = (table(scores, entry, condition, metric, seeds) for entry in (one, other))
            found.append((Comparison(one, other, metric), condition, estimate(first - second)))
    corrected = holm([difference.p for *_, difference in found])
    return [Verdict(*what, value) for what, value in zip(found, corrected, strict=True)]


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    one, other, metric = verdict.comparison
    names = {"one": str(one), "other": str(other), "metric": metric, "condition": verdict.condition}
    return {**names, **asdict(verdict.difference), "holm_p": verdict.corrected, "verdict": verdict.word}
