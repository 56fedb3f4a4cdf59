"""What does the runtime cost around the engine, in C++ and in Python?

`codi-profile` and the Python session run one tile of a bundle in turns, a process or a session opened anew each round.
Both time each call end to end, picture to picture with new noise, and the graph alone.
"""

import argparse
import json
import statistics as st
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from codi_export import bundle, machine
from codi_export.backends.onnxruntime import BACKEND
from codi_export.profile import result_file
from codi_export.profile.bundle import Arrays, graph_inputs
from codi_export.profile.measure import Time, measure
from codi_export.profile.result import Run, Settings
from codi_export.profile.statistics import compare
from codi_export.runtime.opening import load, select
from codi_export.runtime.session import Session


@dataclass(slots=True)
class Opened:
    """The Python session, with the inputs of the bundle's golden."""

    session: Session
    inputs: Arrays
    bound: Callable[[], object] = field(init=False)

    def __post_init__(self) -> None:
        assert BACKEND.bind
        self.bound = BACKEND.bind(self.session.runner, self.inputs)

    def end_to_end(self, seed: int) -> object:
        return self.session(self.inputs["image"][0], seed)

    def engine(self) -> object:
        return self.bound()


def in_python(folder: Path, iterations: int, threads: int, seed: int) -> Run:
    """One run of the Python session."""
    inputs = graph_inputs(folder, select(bundle.read_manifest(folder)))
    settings = Settings("single", iterations, None, 1, seed)
    return measure(lambda: Opened(load(folder, threads=threads), inputs), settings, Time()).runs[0]


def in_cpp(program: Path, folder: Path, iterations: int, threads: int, seed: int) -> Run:
    """One run of codi-profile."""
    options = ("--runs", 1, "--iterations", iterations, "--threads", threads, "--seed", seed)
    done = subprocess.run([program, folder, *map(str, options)], check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "result.json").write_text(done.stdout)
        return result_file.read(Path(place) / "result.json").runs[0]


def overhead(runs: list[Run]) -> dict[str, float]:
    """End to end less the engine, of neighbouring calls, in milliseconds; and the medians of both."""
    pairs = [pair for run in runs for pair in zip(run.end_to_end_ms, run.engine_ms, strict=True)]
    low, middle, high = st.quantiles([whole - engine for whole, engine in pairs], n=4)
    whole, engine = (st.median(times) for times in zip(*pairs, strict=True))
    return {"end_to_end_ms": whole, "engine_ms": engine, "overhead_ms": middle, "overhead_q1": low, "overhead_q3": high}


def main(program: Path, folder: Path, rounds: int, iterations: int, threads: int) -> dict[str, Any]:
    """The result file's content."""
    cpp: list[Run] = []
    python: list[Run] = []
    for index in range(rounds):
        seed = index * iterations
        cpp.append(in_cpp(program, folder, iterations, threads, seed))
        python.append(in_python(folder, iterations, threads, seed))
    found = compare([run.end_to_end_ms for run in cpp], [run.end_to_end_ms for run in python])
    return {
        "conditions": machine.conditions(),
        "bundle": folder.name,
        "rounds": rounds,
        "iterations": iterations,
        "threads": threads,
        "cpp": overhead(cpp),
        "python": overhead(python),
        "python_over_cpp": asdict(found),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path, help="codi-profile")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    report = main(arguments.program, arguments.bundle, arguments.rounds, arguments.iterations, arguments.threads)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({key: report[key] for key in ("cpp", "python", "python_over_cpp")}, indent=1))
