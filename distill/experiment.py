"""Run experiments and write what they say: NAME.json, NAME.md and NAME.png."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codi_export import machine
from codi_export.files import write

from . import experiments, findings, markdown, plots, speed, trials
from .trials import Plan


def run(names: Sequence[str], plan: Plan, seeds: Sequence[int], jobs: int = 1) -> None:
    """Finish the trials of these experiments, shared ones once."""
    chosen = {name: experiments.get(name) for name in names}
    arms = dict.fromkeys(arm for experiment in chosen.values() for arm in experiment.arms)
    trials.run(plan, trials.trials(list(arms), seeds), jobs)
    for name, experiment in chosen.items():
        if experiment.latency:
            write(_speed_file(name, plan), json.dumps(speed.measure(plan, experiment.arms)).encode())


def report(names: Sequence[str], plan: Plan, seeds: Sequence[int]) -> list[Path]:
    """Write the reports of what is finished, and return the pages; trains nothing."""
    return [_report(name, plan, seeds) for name in names]


def _report(name: str, plan: Plan, seeds: Sequence[int]) -> Path:
    found = findings.gather(experiments.get(name), plan, seeds)
    times = _read(_speed_file(name, plan))
    document = {**machine.conditions(), "seeds": list(seeds), **findings.as_json(found, plan), "speed": times}
    plan.results.mkdir(parents=True, exist_ok=True)
    page = plan.results / f"{name}.md"
    write(page.with_suffix(".json"), lines(document).encode())
    write(page, markdown.page(found, plan, times).encode())
    plots.draw(found, page.with_suffix(".png"))
    return page


def _speed_file(name: str, plan: Plan) -> Path:
    return plan.results / "trials" / f"{name}-speed.json"


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text()) if file.is_file() else None


def lines(document: dict[str, Any]) -> str:
    """JSON with a line for each entry of its lists: a figure a line would be a page a picture."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_entries(value)}" for key, value in document.items()) + "\n}\n"


def _entries(value: Any) -> str:
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return json.dumps(value)
    return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
