"""How fast are the kernels beside what torch, Triton and numpy do?

    .venv/bin/python -m benchmarks.kernels host -o benchmarks/results/cpu/kernels.json
    CODI_KERNELS=build/libcodi_kernels.so python -m benchmarks.kernels gpu -o benchmarks/results/h200/kernels.json

`host`: the arms in turns, one call each per round. `gpu`: correct first, by compute-sanitizer's four tools and by
comparison; then each arm as a CUDA graph of many calls, hot (one set of tensors) and cold (sets in rotation, over four
times the L2 cache), beside the ceilings of a copy and of a matrix product in the same run. It ends with a step of a
U-Net and its adapter, and with what the graph's rewrite of upsampling gains in each layer. `gpu --dry` does all of it
once on the CPU, on small pictures, and times nothing. `check` is what runs under compute-sanitizer.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import compare, patched, replays
from benchmarks.works import Call, Work, upsamplings, works
from codi_export import latency, machine

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
PAYS = 0.8  # of the time before: a rewrite is adopted for a layer below it
TINY: dict[str, Any] = {
    "block_out_channels": (32, 64),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "cross_attention_dim": 16,
    "attention_head_dim": 4,
    "norm_num_groups": 8,
}


@dataclass
class Row:
    """Microseconds of one arm: the median, and the middle half of the samples around it."""

    work: str
    arm: str
    hot: float | None = None
    hot_quartiles: list[float] = field(default_factory=list)
    cold: float | None = None
    copy_fraction: float | None = None  # least_bytes / cold time, of what a copy reaches
    product_fraction: float | None = None  # products / cold time, of what a matrix product reaches


# ---- on the CPU


def host(rounds: int, threads: int) -> dict[str, Any]:
    """Arms in turns; torch.compile takes minutes here, and Triton is interpreted: both are left out."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the kernels' own OpenMP is loaded, at the first call
    rows = []
    for work in works("cpu", torch.float32):
        arms = {name: call for name, call in work.make().items() if "compile" not in name and name != "triton"}
        samples: dict[str, list[float]] = {name: [] for name in arms}
        for turn in range(rounds + 3):
            for name, call in arms.items():
                taken = latency.measure(call, repeats=1, warmup=0).p50
                samples[name] += [taken * 1e3] if turn >= 3 else []
        rows += [Row(work.name, name, *spread(taken)) for name, taken in samples.items()]
    return {"threads": threads, "rounds": rounds, "rows": [asdict(row) for row in rows]}


def spread(samples: list[float]) -> tuple[float, list[float]]:
    """The median, and the quartiles."""
    low, middle, high = statistics.quantiles(samples, n=4) if len(samples) > 1 else [*samples] * 3
    return middle, [low, high]


# ---- on a GPU


def gpu(dry: bool) -> Iterator[dict[str, Any]]:
    """What is known so far, after each work."""
    device, dtype = ("cpu", torch.float32) if dry else ("cuda", torch.float16)
    sanitized = dict.fromkeys(TOOLS, "not run: a dry run") if dry else sanitize()
    copy, product = ceilings(device, dtype, dry)
    report: dict[str, Any] = {"dry": dry, "sanitized": sanitized, "missing": missing()}
    report |= {"copy_bytes_per_s": copy, "product_flop_per_s": product, "rows": []}
    step = patched.step_work(device, dtype, TINY, 16) if dry else patched.step_work(device, dtype)
    shrink = 8 if dry else 1
    for work in (*works(device, dtype, shrink), step, *upsamplings(device, dtype, shrink)):
        skipped = ("compile",) if dry else ()
        check(work, skipped)
        for name in work.make():
            if not any(word in name for word in skipped):
                report["rows"].append(asdict(Row(work.name, name) if dry else timed(work, name, copy, product)))
        yield report
    yield report | {"rewrites": rewrites(report["rows"])}


def timed(work: Work, name: str, copy: float, product: float) -> Row:
    """One arm, hot and cold."""
    hot = replays.replayed([work.make()[name]])
    cold = statistics.median(replays.replayed([work.make()[name] for _ in range(replays.sets(work.least_bytes))]))
    share = work.products / (cold * 1e-6) / product if work.products else None
    return Row(work.name, name, *spread(hot), cold, work.least_bytes / (cold * 1e-6) / copy, share)


def rewrites(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each upsampling: the transposed convolution's time over the other's, and whether that pays."""
    cold = {(row["work"], row["arm"]): row["cold"] for row in rows}
    found = {}
    for (work, arm), taken in cold.items():
        if arm == "transposed" and taken is not None:
            ratio = taken / cold[work, "torch"]
            found[work] = {"ratio": ratio, "adopt": ratio <= PAYS}
    return found


def sanitize() -> dict[str, str]:
    """Each of compute-sanitizer's tools, over `check`. Exits if one finds something."""
    command = shutil.which("compute-sanitizer")
    if command is None:
        return dict.fromkeys(TOOLS, "not run: compute-sanitizer is not on the path")
    for tool in TOOLS:
        print(f"{tool} …", flush=True)
        ours = [sys.executable, "-m", "benchmarks.kernels", "check"]
        environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}  # or it sees one large allocation
        result = subprocess.run(
            [command, "--tool", tool, "--error-exitcode", "1", *ours], env=environment, capture_output=True, text=True
        )
        if result.returncode:
            raise SystemExit(f"{tool} found something:\n{result.stdout[-3000:]}{result.stderr[-3000:]}")
    return dict.fromkeys(TOOLS, "passed")


def missing() -> dict[str, str]:
    """Arms that cannot be here, and why."""
    return {} if importlib.util.find_spec("triton") else {"triton": "Triton is not installed"}


def check(work: Work, skipped: tuple[str, ...] = ()) -> None:
    """Arms that answer alike do, to a few roundings of the element type. Exits if not."""
    torch.manual_seed(0)
    arms = {name: call for name, call in work.make().items() if name not in work.other}
    arms = {name: call for name, call in arms.items() if not any(word in name for word in skipped)}
    reference = next(iter(arms))
    expected = answer(arms.pop(reference))
    for name in list(arms):
        got = answer(arms.pop(name))  # one after the other: an arm may hold a whole model
        limit = 1.0  # of 255
        if got.is_floating_point():
            coarser = max(torch.finfo(one.dtype).eps for one in (got, expected))
            limit = work.roundings * coarser * float(expected.abs().max())
        worst = float((got.float() - expected.to(got.dtype).float()).abs().max())
        if not worst <= limit:
            raise SystemExit(f"{work.name}: {name} and {reference} differ by {worst}, more than {limit}")


def answer(call: Call) -> Tensor:
    """The first output of an op with several."""
    result = call()
    return torch.as_tensor(result[0] if isinstance(result, tuple) else result)


def ceilings(device: str, dtype: torch.dtype, dry: bool) -> tuple[float, float]:
    """Bytes a second of a copy, read and written, and operations a second of a matrix product."""
    elements, side = (1 << 10, 64) if dry else (1 << 28, 8192)
    source = torch.randn(elements, device=device, dtype=dtype)
    square = torch.randn(side, side, device=device, dtype=dtype)
    target, result = torch.empty_like(source), torch.empty_like(square)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    copied = latency.measure(lambda: target.copy_(source), synchronise=wait).min
    multiplied = latency.measure(lambda: torch.mm(square, square, out=result), synchronise=wait).min
    return 2 * source.nbytes / copied * 1e3, 2 * side**3 / multiplied * 1e3


def main() -> None:
    """Measure, write the JSON, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["host", "gpu", "check"])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.dry:
        os.environ.setdefault("TRITON_INTERPRET", "1")  # before anything imports Triton
    if options.mode == "check":
        for work in works("cpu" if options.dry else "cuda", torch.float16, 8):
            check(work, ("compile", "triton"))
        return
    report: dict[str, Any] = {}
    for report in [host(options.rounds, options.threads)] if options.mode == "host" else gpu(options.dry):
        if options.output:
            write(options.output, report, options.mode == "gpu" and not options.dry)
    print(table(report["rows"]))


def write(path: Path, report: dict[str, Any], on_gpu: bool) -> None:
    """The report, with where and of what it is."""
    device = {"gpu": torch.cuda.get_device_name()} if on_gpu else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {**machine.conditions(), **device, "commit": compare.commit()}
    path.write_text(json.dumps({**about, **report}, indent=1) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, microseconds."""
    lines = [["work", "arm", "hot", "quartiles", "cold", "of copy", "of product"], ["---"] * 7]
    for row in rows:
        quartiles = " to ".join(map(figure, row["hot_quartiles"]))
        fractions = (figure(row[name]) for name in ("cold", "copy_fraction", "product_fraction"))
        lines.append([row["work"], row["arm"], figure(row["hot"]), quartiles, *fractions])
    return compare.markdown(lines)


def figure(value: float | None) -> str:
    """Three digits; nothing where nothing was measured."""
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
