"""How fast are the kernels beside what torch and numpy do?

    .venv/bin/python benchmarks/kernels.py host -o benchmarks/results/cpu/kernels.json
    CODI_KERNELS=build/libcodi_kernels.so python benchmarks/kernels.py gpu -o benchmarks/results/h200/kernels.json
    CODI_KERNELS=build/libcodi_kernels.so compute-sanitizer --tool memcheck python benchmarks/kernels.py check

`host`: the arms in turns, one call each per round. `gpu`: correctness first, then each arm as a CUDA graph of many
calls, hot (one set of tensors) and cold (sets in rotation, over four times the L2 cache), with the copy and matrix
ceilings of the same run. `check`: correctness alone; run it under memcheck, racecheck, initcheck and synccheck.
`gpu --dry` does all of it once on the CPU, at an eighth of the sizes, and times nothing.
"""

import argparse
import functools
import json
import os
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from codi_export import latency, machine
from codi_export.ops import geglu, group_norm_silu, image_io, noise, sampler_step
from codi_export.runtime.noise import normal

Call = Callable[[], Any]
F = torch.nn.functional
NORMS = ((512, 128), (64, 320), (32, 640), (16, 1280), (8, 1280), (64, 512), (256, 256))  # side, channels


@dataclass(frozen=True)
class Work:
    """One question: the arms answer alike, and none moves fewer than `least_bytes`. `make` gives fresh tensors."""

    name: str
    least_bytes: int
    make: Callable[[], dict[str, Call]]


@dataclass
class Row:
    """Microseconds of one arm: the median, and the middle half of the samples around it."""

    work: str
    arm: str
    hot: float | None = None
    hot_quartiles: list[float] = field(default_factory=list)
    cold: float | None = None
    copy_fraction: float | None = None  # least_bytes / cold time, of what a copy reaches


def works(device: str, dtype: torch.dtype, shrink: int = 1) -> list[Work]:
    """All of them, on "cpu" or "cuda"."""
    new = partial(torch.randn, device=device, dtype=dtype)
    norms = [norm_work(side // min(shrink, side // 4), channels, new) for side, channels in NORMS]
    return [
        *norms,
        *geglu_works(4096 // shrink, new),
        step_work(new),
        noise_work(new),
        *image_works(512 // shrink, device, dtype),
    ]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """torch.compile, not before the first call: it takes seconds to begin with."""
    made = functools.cache(lambda: torch.compile(function))
    return lambda *given: made()(*given)


def norm_work(side: int, channels: int, new: Callable[..., Tensor]) -> Work:
    """GroupNorm and SiLU of one picture: read once and written once at the least, read twice by two launches."""

    def make() -> dict[str, Call]:
        x, weight, bias = new(1, channels, side, side), new(channels), new(channels)
        last = x.contiguous(memory_format=torch.channels_last)
        plain = lambda t: F.silu(F.group_norm(t, 32, weight, bias))  # noqa: E731
        return {
            "torch": partial(plain, x),
            "torch channels_last": partial(plain, last),
            "torch.compile channels_last": partial(compiled(plain), last),
            "codi": partial(group_norm_silu.group_norm_silu, last.permute(0, 2, 3, 1), weight, bias, 32),
        }

    return Work(
        f"group_norm_silu {channels} at {side}x{side}", 2 * channels * side * side * new(1).element_size(), make
    )


def geglu_works(rows: int, new: Callable[..., Tensor]) -> list[Work]:
    """GEGLU of the U-Net's first level."""

    def make() -> dict[str, Call]:
        x = new(rows, 2560)
        return {
            "torch": partial(geglu.reference, x),
            "torch.compile": partial(compiled(geglu.reference), x),
            "codi": partial(geglu.geglu, x),
        }

    return [Work(f"geglu [{rows}, 2560]", 3 * 1280 * rows * new(1).element_size(), make)]


def step_work(new: Callable[..., Tensor]) -> Work:
    """PREv of a 512 pixel latent, from v."""
    constants = ("v_prediction", 0.6, 0.8, 0.8, 0.0, 0.6)
    plain: Callable[..., Any] = sampler_step.reference

    def make() -> dict[str, Call]:
        tensors: list[Any] = [new(1, 4, 64, 64) for _ in range(3)]
        return {
            "torch": partial(plain, *tensors, *constants),
            "torch.compile": partial(compiled(plain), *tensors, *constants),
            "codi": partial(sampler_step.sampler_step, *tensors, *constants),
        }

    return Work("sampler_step [1, 4, 64, 64]", 5 * 4 * 64 * 64 * new(1).element_size(), make)


def noise_work(new: Callable[..., Tensor]) -> Work:
    """Noise of a 512 pixel latent. torch's and numpy's differ; numpy's is the same bits as ours."""

    def make() -> dict[str, Call]:
        z = new(1, 4, 64, 64)
        arms: dict[str, Call] = {"torch.randn": partial(torch.randn_like, z), "codi": partial(noise.noise_like, z, 0)}
        return arms | ({"numpy, same bits": partial(normal, 0, (1, 4, 64, 64))} if z.device.type == "cpu" else {})

    return Work("noise [1, 4, 64, 64]", 4 * 64 * 64 * new(1).element_size(), make)


def image_works(side: int, device: str, dtype: torch.dtype) -> list[Work]:
    """Pictures in, as they are and enlarged four times, and out."""
    size, element = 3 * side * side, torch.empty(0, dtype=dtype).element_size()

    def make_in(scale: int) -> dict[str, Call]:
        small = side // scale
        image = torch.randint(0, 256, (1, small, small, 3), dtype=torch.uint8, device=device)
        ours = partial(image_io.image_to_tensor, image, side, side, 2.0, -1.0, dtype)
        torch_arm = partial(torch_in, image, side, dtype)
        arms: dict[str, Call] = {"torch": torch_arm, "codi": ours}
        return arms | ({"numpy and Pillow": partial(numpy_in, image.numpy(), side)} if device == "cpu" else {})

    def make_out() -> dict[str, Call]:
        tensor = torch.randn(1, 3, side, side, device=device, dtype=dtype)
        arms: dict[str, Call] = {"torch": partial(torch_out, tensor), "codi": partial(image_io.tensor_to_image, tensor)}
        return arms | ({"numpy": partial(numpy_out, tensor.numpy())} if device == "cpu" else {})

    return [
        Work(f"image_to_tensor {side}x{side}", size * (1 + element), partial(make_in, 1)),
        Work(
            f"image_to_tensor {side // 4}x{side // 4} to {side}x{side}",
            size * element + size // 16,
            partial(make_in, 4),
        ),
        Work(f"tensor_to_image {side}x{side}", size * (1 + element), make_out),
    ]


def torch_in(image: Tensor, side: int, dtype: torch.dtype) -> Tensor:
    """Normalised to [-1, 1]; `interpolate` is bicubic with a = -0.75, so its picture differs a little."""
    large = image.permute(0, 3, 1, 2).to(dtype) / 255 * 2 - 1
    return large if image.shape[1] == side else F.interpolate(large, (side, side), mode="bicubic")


def numpy_in(image: np.ndarray[Any, Any], side: int) -> np.ndarray[Any, Any]:
    """What an application would write; Pillow rounds to uint8."""
    if image.shape[1] != side:
        image = np.asarray(Image.fromarray(image[0]).resize((side, side), Image.Resampling.BICUBIC))[None]
    return np.ascontiguousarray(image.astype(np.float32).transpose(0, 3, 1, 2)) / 255 * 2 - 1


def torch_out(tensor: Tensor) -> Tensor:
    """The formula of `model.fuse.Decode`."""
    levels = ((tensor.clamp(-1, 1) + 1) * 127.5 + 0.5).floor().clamp(0, 255)
    return levels.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def numpy_out(tensor: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same in numpy."""
    levels = np.floor((tensor.clip(-1, 1) + 1) * np.float32(127.5) + np.float32(0.5))
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1)).astype(np.uint8)


# ---- on the CPU


def host(rounds: int, threads: int) -> dict[str, Any]:
    """Arms in turns; torch.compile takes minutes here and is left out."""
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the kernels' own OpenMP is loaded, at the first call
    rows = []
    for work in works("cpu", torch.float32):
        arms = {name: call for name, call in work.make().items() if "compile" not in name}
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


def gpu(dry: bool) -> dict[str, Any]:
    """Correct first; then ceilings, then every arm."""
    device, dtype = ("cpu", torch.float32) if dry else ("cuda", torch.float16)
    asked = works(device, dtype, 8 if dry else 1)
    for work in asked:
        check(work)
    copy, product = ceilings(device, dtype, dry)
    rows = []
    for work in asked:
        for name in work.make():
            if dry and "compile" in name:
                continue
            if dry:
                work.make()[name]()
                rows.append(asdict(Row(work.name, name)))
                continue
            hot, cold = replayed(work, name, 1), statistics.median(replayed(work, name, sets_of(work)))
            fraction = work.least_bytes / (cold * 1e-6) / copy
            rows.append(asdict(Row(work.name, name, *spread(hot), cold, fraction)))
    return {"copy_bytes_per_s": copy, "product_flop_per_s": product, "dry": dry, "rows": rows}


def check(work: Work) -> None:
    """Arms of one work agree: ours with torch's own, to a few roundings of the element type."""
    torch.manual_seed(0)
    arms = work.make()
    if "torch" not in arms or "to" in work.name.split():
        return  # noise, and the enlargement, where torch computes something else
    ours, theirs = (torch.as_tensor(first(arms[name]())) for name in ("codi", "torch"))
    ours = ours.permute(0, 3, 1, 2) if "norm" in work.name else ours
    limit = 1 if ours.dtype == torch.uint8 else 8 * float(torch.finfo(ours.dtype).eps) * float(theirs.abs().max())
    worst = float((ours.float() - theirs.float()).abs().max())
    if not worst <= limit:
        raise SystemExit(f"{work.name}: codi and torch differ by {worst}, more than {limit}")


def first(result: Any) -> Any:
    """The first output of an op with several."""
    return result[0] if isinstance(result, tuple) else result


def sets_of(work: Work) -> int:
    """Sets of tensors that take over four times the L2 cache."""
    cache: int = torch.cuda.get_device_properties(0).L2_cache_size
    return min(256, 4 * cache // work.least_bytes + 2)


def replayed(work: Work, arm: str, sets: int, calls: int = 50, replays: int = 200) -> list[float]:
    """Microseconds a call, of a CUDA graph of many calls, replayed."""
    arms = [work.make()[arm] for _ in range(sets)]
    cuda: Any = torch.cuda  # partly without types
    stream = cuda.Stream()
    with cuda.stream(stream):
        for call in arms:
            call()
            call()
    stream.synchronize()
    graph = cuda.CUDAGraph()
    count = max(calls, sets)
    with cuda.graph(graph):
        kept = [arms[i % sets]() for i in range(count)]
    samples = []
    for _ in range(replays):
        begin, end = (cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        samples.append(begin.elapsed_time(end) * 1e3 / count)
    del kept
    return samples


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
    """Measure, print a Markdown table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["host", "gpu", "check"])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dry", action="store_true")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if options.mode == "check":
        for work in works("cpu" if options.dry else "cuda", torch.float16):
            check(work)
        return
    result = host(options.rounds, options.threads) if options.mode == "host" else gpu(options.dry)
    print(table(result["rows"]))
    if options.output:
        device = {} if options.mode == "host" or options.dry else {"gpu": torch.cuda.get_device_name()}
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip()
        options.output.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**machine.conditions(), **device, "commit": commit, **result}, indent=1)
        options.output.write_text(text + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, microseconds."""
    lines = ["| work | arm | hot | quartiles | cold | of copy |", "|---|---|---|---|---|---|"]
    for row in rows:
        quartiles = " to ".join(map(figure, row["hot_quartiles"]))
        cells = [
            row["work"],
            row["arm"],
            figure(row["hot"]),
            quartiles,
            figure(row["cold"]),
            figure(row["copy_fraction"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(value: float | None) -> str:
    """Three digits; nothing where nothing was measured."""
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"


if __name__ == "__main__":
    main()
