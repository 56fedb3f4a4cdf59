"""The experiments: a module each, with one constant `EXPERIMENT`. A new file is a new experiment; no list is edited."""

import importlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from codi_export.errors import CodiError, ErrorCode

# Which way is better; 0: neither, more and less than the data are both wrong.
METRICS = {"perceptual": -1, "psnr_db": +1, "chroma": 0, "clipped": 0}


class Entry(NamedTuple):
    """An arm (`distill.arms.ARMS`), sampled at a list of timesteps (`distill.arms.LISTS`)."""

    arm: str
    list: str

    def __str__(self) -> str:
        return f"{self.arm} @ {self.list}"


class Comparison(NamedTuple):
    """Whether `one` differs from `other` in a metric, on every condition that their task has."""

    one: Entry
    other: Entry
    metric: str = "perceptual"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A question, what is measured to answer it, and the comparisons that may be claimed; Holm's correction runs over
    these. `reference` is what ratios are given to. With `latency` the arms' speed is measured too, in turns."""

    question: str
    entries: tuple[Entry, ...]
    comparisons: tuple[Comparison, ...]
    metrics: tuple[str, ...] = ("perceptual", "psnr_db")
    reference: Entry | None = None
    latency: bool = False

    @property
    def arms(self) -> list[str]:
        """The arms by name, each once."""
        return list(dict.fromkeys(entry.arm for entry in self.entries))


def entries(arms: Sequence[str], lists: Sequence[str]) -> tuple[Entry, ...]:
    """Every arm at every list."""
    return tuple(itertools.starmap(Entry, itertools.product(arms, lists)))


def compare(
    one: str, other: str, lists: Sequence[str], metrics: Sequence[str] = ("perceptual",)
) -> tuple[Comparison, ...]:
    """Two arms at the same lists."""
    return tuple(Comparison(Entry(one, at), Entry(other, at), metric) for at in lists for metric in metrics)


def names() -> list[str]:
    """All experiments, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem != "__init__")


def get(name: str) -> Experiment:
    """Raises CodiError (unknown-name) that lists what there is."""
    if name not in names():
        raise CodiError(ErrorCode.UNKNOWN_NAME, f"unknown experiment '{name}'; available: all, {', '.join(names())}")
    found: Experiment = importlib.import_module(f"{__name__}.{name}").EXPERIMENT
    return found
