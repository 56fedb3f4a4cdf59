"""Trials: one arm, one seed. Each is trained in a folder of its own, resumes there, and ends with its scores."""

import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from codi_export import machine
from codi_export.errors import CodiError
from codi_export.files import write

from . import arms, history, scores
from .arms import Arm
from .config import TrainConfig
from .trainer import train

SCORES = "scores.json"


class Trial(NamedTuple):
    """What is trained once, whichever experiments look at it."""

    arm: str
    seed: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What all trials have in common: data, backbone, where they are kept, optimiser steps, samples a step, and how
    many pictures are judged at most."""

    data: Path
    model: str
    results: Path
    steps: int = 500
    batch_size: int = 16
    pictures: int = 200

    def folder(self, trial: Trial) -> Path:
        """Where a trial is kept; one with another budget is another trial."""
        return self.results / "trials" / f"{trial.arm}-{self.steps}-steps" / f"seed-{trial.seed}"

    def settings(self) -> dict[str, Any]:
        """What figures of one table must have in common."""
        return {"model": self.model, "steps": self.steps, "batch_size": self.batch_size, "pictures": self.pictures}


def trials(names: Sequence[str], seeds: Sequence[int]) -> list[Trial]:
    """All that these arms take, seed by seed, so that whatever is finished is complete for the first seeds."""
    return [Trial(name, seed) for seed in seeds for name in arms.with_stages(list(names))]


def read(plan: Plan, trial: Trial) -> dict[str, Any] | None:
    """A finished trial's scores; None for one that is not finished, or was judged otherwise."""
    file = plan.folder(trial) / SCORES
    if not file.is_file():
        return None
    found: dict[str, Any] = json.loads(file.read_text())
    current = found["plan"] == plan.settings() and set(found["lists"]) >= set(arms.get(trial.arm).lists)
    return found if current else None


def run(plan: Plan, wanted: Sequence[Trial], jobs: int) -> None:
    """Train and judge what is not finished, in `jobs` processes of one thread each, or here if `jobs` is 1.

    A trial that fails is told on stderr and stays unfinished; the others go on.
    """
    missing = [trial for trial in wanted if read(plan, trial) is None]
    print(f"{len(wanted) - len(missing)} of {len(wanted)} trials are finished", file=sys.stderr)
    with _pool(jobs) as pool:
        for wave in _waves(missing):
            for trial, outcome in _each(plan, wave, pool):
                print(f"{trial.arm}, seed {trial.seed}: {outcome}", file=sys.stderr, flush=True)


def conduct(plan: Plan, trial: Trial) -> str:
    """Train one arm, judge it and write its scores; returns how that went. Its progress goes to a file beside them."""
    folder, start = plan.folder(trial), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / "progress.txt").open("a") as progress, redirect_stderr(progress):
            found = _train_and_score(plan, trial, folder)
    except CodiError as error:
        return f"not finished: {error}"
    write(folder / SCORES, json.dumps(found).encode())
    return f"{time.monotonic() - start:.0f} s"


def _train_and_score(plan: Plan, trial: Trial, folder: Path) -> dict[str, Any]:
    arm = arms.get(trial.arm)
    first = plan.folder(Trial(arm.after, trial.seed)) / "adapter" if arm.after else None
    job = arms.job(arm, trial.seed, plan.data, plan.model, first)
    average = train(job, train_config(plan, arm, trial.seed), folder / "run")
    job.save(average, folder / "adapter")
    trained, start = history.read(folder / "run")[-1]["seconds"], time.monotonic()
    kept = scores.judged(arm, plan.data, plan.pictures) if arm.lists else []
    lists = scores.score(job, average, arm, kept, trial.seed) if arm.lists else {}
    return {
        "arm": trial.arm,
        "seed": trial.seed,
        "plan": plan.settings(),
        **machine.conditions(),
        "parameters": scores.parameters(job.module),
        "seconds": {"training": trained, "judging": round(time.monotonic() - start, 1)},
        "pictures": [picture.name for picture in kept],
        "lists": lists,
        "prior": scores.prior(job, average) if arm.lists else None,
    }


def train_config(plan: Plan, arm: Arm, seed: int) -> TrainConfig:
    """The arm's share of the budget: a tenth of it warms up. Validation waits for the end."""
    steps = max(1, round(plan.steps * arm.share))
    return TrainConfig(
        steps, batch_size=plan.batch_size, learning_rate=arm.rate, warmup=steps // 10, seed=seed, log_every=10,
        save_every=50, validate_every=steps + 1,
    )  # fmt: skip


def _waves(wanted: Sequence[Trial]) -> Iterator[list[Trial]]:
    """Trials that may run at the same time: of one seed, first those that go on from nothing."""
    for seed in dict.fromkeys(trial.seed for trial in wanted):
        for later in (False, True):
            yield [t for t in wanted if t.seed == seed and bool(arms.get(t.arm).after) == later]


def _pool(jobs: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    if jobs == 1:
        return nullcontext()
    context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads, locked
    return ProcessPoolExecutor(jobs, context, torch.set_num_threads, (1,))


def _each(plan: Plan, wave: list[Trial], pool: ProcessPoolExecutor | None) -> Iterator[tuple[Trial, str]]:
    if pool is None:
        yield from ((trial, conduct(plan, trial)) for trial in wave)
        return
    waiting = {pool.submit(conduct, plan, trial): trial for trial in wave}
    yield from ((waiting[done], done.result()) for done in as_completed(waiting))
