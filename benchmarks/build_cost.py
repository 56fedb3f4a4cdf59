"""What a build costs at Stable Diffusion 1.5's true size: seconds, peak memory, bytes, at 1, 2 and 4 steps.

    python -m benchmarks.build_cost -o benchmarks/results/cpu/build_cost.json

Random weights (860 M + 361 M parameters, float16) and a tiny VAE. Pictures are small unless `--pixels` says otherwise:
only the comparison with torch, which computes, takes longer with larger ones. Each build is a process of its own. Peak
memory is read when a stage begins: `writing` is the largest until the graph is compared with torch, `build` the largest
of the whole, `check` that of the process in which ONNX Runtime runs the graph.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from codi_export import machine

STEPS = (1, 2, 4)
BOUND = "1.6 x the fp16 weights + 2 GB"


def main() -> None:
    """Build each in a child, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="sd15", help="sd15, or small for a quick look")
    parser.add_argument("--folder", type=Path, help="where the model is kept; a temporary one if left out")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--build", type=json.loads, help=argparse.SUPPRESS)  # a child's options
    parser.add_argument("--rows", type=Path, nargs="+", help="what such children printed, instead of building")
    options = parser.parse_args()
    if options.build:
        print(json.dumps(build(**options.build)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        rows = [json.loads(file.read_text()) for file in options.rows or ()]
        report = measure(options.shape, folder, options.steps, options.pixels, rows)
    print(table(report))
    if options.output:
        options.output.write_text(json.dumps({**machine.conditions(), **report}, indent=1) + "\n")


def measure(shape: str, folder: Path, numbers: list[int], pixels: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Build at each number of steps with an empty cache, then once more at the first with what was kept."""
    command = [sys.executable, "-m", "benchmarks.sd15", shape, str(folder)]
    stored = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    plan = (*((steps, f"cache-{steps}") for steps in numbers), (numbers[0], f"cache-{numbers[-1]}"))
    for steps, cache in () if rows else plan:
        given = {"folder": str(folder), "steps": steps, "cache": str(folder / cache), "pixels": pixels}
        child = [sys.executable, "-m", "benchmarks.build_cost", "--build", json.dumps(given)]
        done = subprocess.run(child, check=True, capture_output=True, text=True)
        rows.append(json.loads(done.stdout))
    first = rows[0]["bundle_bytes"]
    for row in rows:
        row["size_beside_first"] = round(row["bundle_bytes"] / first, 4)
    bound = 1.6 * stored + 2e9
    return {
        "shape": shape,
        "pixels": pixels,
        "weights_bytes": stored,
        "bound": BOUND,
        "bound_bytes": int(bound),
        "rows": rows,
    }


def build(folder: str, steps: int, cache: str, pixels: int) -> dict[str, Any]:
    """One build, in this process; the bundle is measured and removed."""
    os.environ["CODI_CACHE"] = cache
    from codi_export.builder import build_specs
    from codi_export.graph.cache import default
    from codi_export.spec import BuildSpec

    stages: list[tuple[str, float, int]] = []

    def begin(stage: str, done: int, total: int) -> None:
        stages.append((stage.split()[0], time.perf_counter(), machine.peak_bytes()))

    model, net = f"{folder}/model", f"{folder}/controlnet"
    spec = BuildSpec("depth", (steps,), model, (net,), prompt="", height=pixels, width=pixels)
    kept = default()
    checks: list[int] = []
    logging.getLogger("codi_export.apart").setLevel(logging.INFO)
    logging.getLogger("codi_export.apart").addHandler(Checks(checks))
    with tempfile.TemporaryDirectory(dir=folder) as out:
        manifest = build_specs([spec], Path(out, "bundle"), progress=begin, cache=kept)
    ends = [start for _, start, _ in stages[1:]]
    seconds = {name: round(end - start, 2) for (name, start, _), end in zip(stages, ends, strict=False)}
    writing = next(most for name, _, most in stages if name == "checking")
    return {
        "steps": steps,
        "reused": [one.piece for one in kept.lookups if one.reused],
        "seconds": seconds,
        "seconds_in_all": round(sum(seconds.values()), 1),
        "peak_writing_bytes": writing,
        "peak_build_bytes": machine.peak_bytes(),
        "peak_check_bytes": max(checks),
        "bundle_bytes": sum(entry.bytes for entry in manifest.files),
        "parity_db": round(manifest.graphs[0].parity.image_psnr_db, 1),
        "latent_rms": manifest.graphs[0].parity.latent_rms,
    }


class Checks(logging.Handler):
    """Collects the peaks that `codi_export.apart` tells of."""

    def __init__(self, found: list[int]) -> None:
        super().__init__()
        self.found = found

    def emit(self, record: logging.LogRecord) -> None:
        assert isinstance(record.args, tuple)
        self.found.append(int(str(record.args[1])))


def table(report: dict[str, Any]) -> str:
    """For people."""
    lines = [f"weights {report['weights_bytes'] / 1e9:.2f} GB, bound {report['bound_bytes'] / 1e9:.2f} GB ({BOUND})"]
    for row in report["rows"]:
        stages = "  ".join(f"{name} {seconds:.1f} s" for name, seconds in row["seconds"].items())
        memory = "  ".join(f"{name} {row[f'peak_{name}_bytes'] / 1e9:.2f} GB" for name in ("writing", "build", "check"))
        size = f"{row['bundle_bytes'] / 1e6:.1f} MB ({row['size_beside_first']:.4f})"
        lines.append(f"{row['steps']} steps, {len(row['reused'])} reused: {stages} | {memory} | {size}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
