"""Size, build cost and latency of the `sr` bundle at 1 to 4 steps.

    .venv/bin/python benchmarks/bundles.py -o benchmarks/results/cpu/bundles.json

Each bundle is built in a process of its own (its peak memory is its own). The sessions are then timed in turns, one
call each per round, so that a change in the machine's pace meets all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import codi_export
from codi_export import latency, machine
from codi_export.latency import Latency

HEADINGS = ("steps", "bundle MB", "build s", "build peak MB", "tile ms, p50", "min to p90")


def main() -> None:
    """Build, time, print a Markdown table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        built = [build(steps, Path(folder)) for steps in (1, 2, 3, 4)]
        bundles = [Path(row.pop("bundle")) for row in built]
        timed = time_in_turns(bundles, options.rounds, options.threads)
    rows = [{**row, "tile_ms": asdict(times)} for row, times in zip(built, timed, strict=True)]
    print(table(rows))
    settings = {"threads": options.threads, "rounds": options.rounds}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(
        json.dumps({**machine.conditions(), "commit": commit(), **settings, "rows": rows}, indent=1) + "\n"
    )


def build(steps: int, folder: Path) -> dict[str, Any]:
    """The `--json` result of one build."""
    command = [sys.executable, "-m", "codi_export.cli.main", "build", "--task", "sr", "--steps", str(steps), "--json"]
    done = subprocess.run([*command, "-o", str(folder / f"sr-{steps}step")], check=True, capture_output=True, text=True)
    result: dict[str, Any] = {"steps": steps, **json.loads(done.stdout)}
    return result


def time_in_turns(bundles: list[Path], rounds: int, threads: int) -> list[Latency]:
    """One call of each graph per round, after one round that is not counted."""
    sessions = [codi_export.load(bundle, threads=threads) for bundle in bundles]
    image_shape, noise_shape = ([int(size) for size in spec.shape] for spec in (sessions[0].image, sessions[0].noise))
    image = np.random.default_rng(0).integers(0, 256, image_shape, dtype=np.uint8)
    noise = np.random.default_rng(0).standard_normal(noise_shape, dtype=np.float32)
    samples: list[list[float]] = [[] for _ in sessions]
    for _ in range(rounds + 1):
        for session, kept in zip(sessions, samples, strict=True):
            kept.append(latency.measure(partial(session.run, image, noise), repeats=1, warmup=0).p50)
    return [latency.summarise(kept[1:]) for kept in samples]


def commit() -> str:
    """The commit that was measured."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for row in rows:
        ms = row["tile_ms"]
        figures = (row["bytes"] / 1e6, row["seconds"], row["peak_rss_bytes"] / 1e6, ms["p50"])
        lines.append(
            [str(row["steps"]), *(f"{figure:.1f}" for figure in figures), f"{ms['min']:.0f} to {ms['p90']:.0f}"]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
