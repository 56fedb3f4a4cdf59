"""The one protocol of every benchmark that compares times: README.md says why each of its rules is there.

    arms = [Arm("ours", session_call), Arm("torch", torch_call)]
    print(report(run("end_to_end", arms, parse(__doc__)), output))

The first arm is the baseline. In every round each arm runs once, in an order that is drawn anew, and the baseline runs
once more as a witness: it differs from itself by noise alone, so what the two make of each other is the noise.
"""

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from codi_export import latency, machine
from codi_export.profile import statistics
from codi_export.profile.marks import CROWDED
from codi_export.profile.statistics import Comparison

RESULTS = Path(__file__).parent / "results"
WITNESS = "baseline again"
WARMUP = 3
PAUSE_S = 0.05  # before each call: the threads of the arm before spin for a while, and would take its cores
NOISY = 0.05  # a witness that is told apart from the baseline, or known no better than this, marks the result

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to do the work. `call` does all that is timed, with inputs that are the same for every arm."""

    name: str
    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Options:
    """What every benchmark may be told. `against`: arms beside ours, by name."""

    against: tuple[str, ...]
    rounds: int
    threads: int
    seed: int
    output: Path | None
    warmup: int = WARMUP


@dataclass(frozen=True, slots=True)
class Row:
    """An arm's times, and how much longer than the baseline it takes: paired by round, 95 % interval."""

    name: str
    ms: latency.Latency
    ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished benchmark. `groups`: a table of arms for each question asked in it (a size, a number of steps).
    `not_run`: what was asked for and could not be, with the reason. `marks`: why a reader should doubt it."""

    benchmark: str
    environment: dict[str, Any]
    settings: dict[str, Any]
    groups: dict[str, list[Row]]
    samples: dict[str, Samples]
    not_run: dict[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


def parser(about: str | None, against: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The options that all benchmarks share; `against`: the arms that this one knows."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--against", default=",".join(against), help=f"arms beside ours, of {', '.join(against)}")
    made.add_argument("--rounds", type=int, default=30, help="each arm runs once a round")
    made.add_argument("--warmup", type=int, default=WARMUP, help="rounds before them that are not kept")
    made.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="for every arm alike")
    made.add_argument("--seed", type=int, default=0, help="of the order and the inputs")
    made.add_argument("-o", "--output", type=Path, help=f"JSON; default {RESULTS.name}/<device>/<benchmark>.json")
    return made


def options(parsed: argparse.Namespace, known: Sequence[str] = ()) -> Options:
    """Exits with status 2 for an arm that is not known."""
    against = tuple(name for name in parsed.against.split(",") if name)
    if wrong := [name for name in against if name not in known]:
        sys.exit(f"error: --against {','.join(wrong)}: expected {', '.join(known) or 'nothing'}")
    return Options(against, parsed.rounds, parsed.threads, parsed.seed, parsed.output, parsed.warmup)


def interleave(
    arms: Sequence[Arm],
    rounds: int,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
    synchronise: Callable[[], object] = lambda: None,
    pause: Callable[[], object] = lambda: time.sleep(PAUSE_S),
    warmup: int = WARMUP,
) -> Samples:
    """Milliseconds of every arm by round, the witness's last. `warmup` rounds before them are not kept; there is a
    `pause` before each call."""
    timed = {arm.name: arm.call for arm in arms} | {WITNESS: arms[0].call}
    rng = random.Random(seed)
    samples: Samples = {name: [] for name in timed}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for number in range(-warmup, rounds):
            order = list(timed)
            rng.shuffle(order)
            for name in order:
                pause()
                synchronise()
                start = clock()
                timed[name]()
                synchronise()
                if number >= 0:
                    samples[name].append((clock() - start) * 1000)
            gc.collect()
    finally:
        if collecting:
            gc.enable()
    return samples


def rows(samples: Samples) -> list[Row]:
    """All arms against the first, the witness left out."""
    first = next(iter(samples))
    made = []
    for name, times in samples.items():
        if name != WITNESS:
            found = paired(samples[first], times)
            made.append(Row(name, latency.summarise(times), found.ratio, found.low, found.high, found.p))
    return made


def paired(baseline: Sequence[float], times: Sequence[float]) -> Comparison:
    """How much longer `times` are, round by round."""
    return statistics.compare([baseline], [times])


def noise(samples: Samples) -> list[str]:
    """What makes the machine doubtful, a sentence each: the witness, outliers."""
    first = next(iter(samples))
    found, times = paired(samples[first], samples[WITNESS]), latency.summarise(samples[first])
    said = []
    if found.certain:
        said.append(
            f"the baseline differs from itself: {found.ratio - 1:+.1%} [{found.low - 1:+.1%}, {found.high - 1:+.1%}]"
        )
    elif found.high / found.low - 1 > 2 * NOISY:
        said.append(f"the baseline is known to no better than [{found.low - 1:+.1%}, {found.high - 1:+.1%}] of itself")
    if times.n > 4 and times.p95 > 1.5 * times.p50:
        said.append(f"the baseline's p95 is {times.p95 / times.p50:.1f} times its p50")
    return said


def environment(threads: int) -> dict[str, Any]:
    """All that one must know to repeat it: machine, versions, commit, threads, variables, other work as it begins."""
    others = machine.others_at_work()
    variables = {
        name: value for name, value in sorted(os.environ.items()) if name.startswith(("OMP_", "MKL_", "OPENBLAS_"))
    }
    return {
        **machine.conditions(),
        "commit": commit(),
        "threads": threads,
        "variables": variables,
        "others_at_work": None if others is None else round(others, 2),
    }


def commit() -> str:
    """The commit that is measured; `+` behind it says that the tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def run(
    benchmark: str,
    groups: Mapping[str, Sequence[Arm]],
    opts: Options,
    settings: Mapping[str, Any] | None = None,
    not_run: Mapping[str, str] | None = None,
) -> Outcome:
    """Measure each group of arms on its own, one after the other."""
    here = environment(opts.threads)
    samples: dict[str, Samples] = {}
    marks: list[str] = []
    for name, arms in groups.items():
        samples[name] = interleave(arms, opts.rounds, opts.seed, warmup=opts.warmup)
        marks += [f"{name}: {mark}" for mark in noise(samples[name])]
    busy, cores = here["others_at_work"], here["cores"]
    if busy is not None and busy > CROWDED * cores:
        marks.append(f"other work kept {busy} of {cores} cores busy when it began")
    settings_of_all = {"rounds": opts.rounds, "warmup": opts.warmup, "pause_s": PAUSE_S, "seed": opts.seed}
    all_settings = {**settings_of_all, **(settings or {})}
    tables = {name: rows(times) for name, times in samples.items()}
    return Outcome(benchmark, here, all_settings, tables, samples, dict(not_run or {}), tuple(marks))


def save(outcome: Outcome, output: Path | None = None, device: str = "cpu") -> Path:
    """Write the JSON, by default where results are committed; returns where."""
    path = output or RESULTS / device / f"{outcome.benchmark}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    value = asdict(outcome)
    value["samples"] = {
        group: {name: [round(ms, 3) for ms in times] for name, times in arms.items()}
        for group, arms in outcome.samples.items()
    }
    path.write_text(json.dumps(value, indent=1) + "\n")
    return path


def table(groups: Mapping[str, Sequence[Mapping[str, Any]]], heading: str = "") -> str:
    """Markdown of the rows of a saved outcome."""
    lines = [[heading, "arm", "p50 ms", "min to p95", "against the first", "95 %"], ["---", "---", *["---:"] * 4]]
    for group, some in groups.items():
        for index, row in enumerate(some):
            ms = row["ms"]
            ratio = [f"{row['ratio']:.2f} ×", f"{row['low']:.2f} to {row['high']:.2f}"] if index else ["1", ""]
            span = f"{ms['min']:.0f} to {ms['p95']:.0f}"
            lines.append([group if index == 0 else "", row["name"], f"{ms['p50']:.0f}", span, *ratio])
    return markdown(lines)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the headings, the rule below them, the rows."""
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def finish(outcome: Outcome, opts: Options) -> None:
    """Save, print the table, and say what is doubtful."""
    path = save(outcome, opts.output)
    print(table({name: [asdict(row) for row in some] for name, some in outcome.groups.items()}))
    for name, reason in outcome.not_run.items():
        print(f"not run: {name}: {reason}")
    for mark in outcome.marks:
        print(f"note: {mark}")
    print(path)
