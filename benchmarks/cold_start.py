"""How long from a new process to the first picture, and what it has taken of memory by then.

    python -m benchmarks.cold_start --against torch,compile,openvino,openvino-bf16 --rounds 3

The `sr` bundle of the embedded model at 2 steps, on the CPU; each arm is a process of its own. `built` goes from the
model's folder, with empty caches: it builds the bundle, which is done once. `ours`, `openvino` and `openvino-bf16` open
that bundle with the base install. `torch` and `compile` begin from the model's folder in every process; `compile again`
finds what `compile` left on disk.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import compare
from codi_export import machine

STEPS = 2
TORCH = ("torch", "compile", "compile again")
KNOWN = ("torch", "compile", "openvino", "openvino-bf16")
CACHES = ("CODI_CACHE", "TORCHINDUCTOR_CACHE_DIR")


@dataclass(frozen=True, slots=True)
class Start:
    """One process: wall seconds from its creation to the first picture, and the most bytes it had resident by then."""

    arm: str
    seconds: float
    peak_bytes: int


def first_picture(arm: str, folder: Path, threads: int) -> None:
    """Do what an application of this arm does until it has a picture. torch is imported by those arms alone that need
    it."""
    if arm == "built":
        import codi_export

        codi_export.build("sr", [STEPS], folder)
    if arm in TORCH:
        from benchmarks import arms

        with arms.work_of(folder, STEPS, threads) as work:
            arms.MAKERS[arm.removesuffix(" again")](work)()
        return
    import codi_export
    from codi_export.profile.bundle import graph_inputs

    backend = arm if arm in KNOWN else "onnxruntime"
    session = codi_export.load(folder, "sr", STEPS, backend=backend, threads=threads)
    session.run(**graph_inputs(folder, session.graph))


def start(arm: str, folder: Path, threads: int, caches: Path) -> Start:
    """In a child. Raises SystemExit with what it said if it fails."""
    command = [sys.executable, "-m", "benchmarks.cold_start", "--child", arm, str(folder), str(threads)]
    environment = {**os.environ, **{name: str(caches / name) for name in CACHES}, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    began = time.time()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {arm}: {done.stderr.strip()}")
    ended, peak = json.loads(done.stdout.splitlines()[-1])
    return Start(arm, round(ended - began, 2), peak)


def child(arm: str, folder: str, threads: str) -> None:
    """Print when the picture was there, and the peak by then."""
    first_picture(arm, Path(folder), int(threads))
    ended = time.time()
    print(json.dumps([ended, machine.peak_bytes()]))


def measure(against: Sequence[str], rounds: int, threads: int, seed: int = 0) -> list[Start]:
    """All arms `rounds` times, in an order that is drawn anew; each round begins with empty caches."""
    rng, starts = random.Random(seed), []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            caches, folder = Path(name), Path(name, "bundle")
            starts.append(start("built", folder, threads, caches))  # what `ours` and `openvino` open
            order = ["ours", *against]
            rng.shuffle(order)
            for arm in order:
                starts.append(start(arm, folder, threads, caches))
                if arm == "compile":
                    starts.append(start("compile again", folder, threads, caches))
    return starts


def table(result: Mapping[str, Any]) -> str:
    """Markdown: medians, and the range of the seconds."""
    lines = [["", "seconds to the first picture", "min to max", "peak memory, MB"], ["---", "---:", "---:", "---:"]]
    for arm in dict.fromkeys(one["arm"] for one in result["starts"]):
        seconds, peaks = (
            sorted(s[key] for s in result["starts"] if s["arm"] == arm) for key in ("seconds", "peak_bytes")
        )
        middle = len(seconds) // 2
        span = f"{seconds[0]:.1f} to {seconds[-1]:.1f}"
        lines.append([arm, f"{seconds[middle]:.1f}", span, f"{peaks[middle] / 1e6:.0f}"])
    return compare.markdown(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, save."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--child"]:
        child(*given[1:])
        return
    parser = compare.parser(__doc__, KNOWN)
    parser.set_defaults(rounds=3)
    options = compare.options(parser.parse_args(given), KNOWN)
    here = compare.environment(options.threads)
    starts = measure(options.against, options.rounds, options.threads, options.seed)
    settings = {"model": "mini", "steps": STEPS, "rounds": options.rounds, "seed": options.seed}
    result = {"benchmark": "cold_start", "environment": here, "settings": settings, "starts": list(map(asdict, starts))}
    path = options.output or compare.RESULTS / "cpu" / "cold_start.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result))
    print(path)


if __name__ == "__main__":
    main()
