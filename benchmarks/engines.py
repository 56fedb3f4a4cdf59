"""Engines of `mini`, built ahead of time without a GPU: every task, number of steps, precision and kind of GPU.

    python -m benchmarks.engines -o benchmarks/results/cpu/engines.json
    python -m benchmarks.engines --edge --target rtx-4090 -o benchmarks/results/cpu/engines_edge.json

`--edge` takes the shape of `edge_shape.py` in place of `mini`, where weights are what an engine mostly is.
Goes on where it was stopped: bundles and engines are kept, and the result is written after each engine. Tasks that
`mini` has no adapter for are left out unless they are named; then they get a random one of the same shape, for this is
about size, kernels and time to build, not about pictures.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

import codi_export
from benchmarks import compare, edge_shape
from codi_export import bundle, machine, registry, zoo
from codi_export.finalize import finalize
from codi_export.model import adapter as adapters
from codi_export.model import backbone as backbones
from codi_export.spec import AdapterSpec, PrecisionChoice

BACKEND = "tensorrt-rtx"
STEPS = (1, 2, 4)
TARGETS = ("rtx-3060", "rtx-4090", "rtx-5090")  # SM 86, 89, 120
PRECISIONS: tuple[PrecisionChoice, ...] = ("fp32", "fp16")


def build(task: str, precision: PrecisionChoice, work: Path) -> Path:
    """A bundle of `task` at all numbers of steps; what is there already is left."""
    folder = work / f"{task}-{precision}"
    if not (folder / bundle.MANIFEST).is_file():
        codi_export.build(task, STEPS, folder, precision=precision, adapter=_adapter(task, work) or ())
    return folder


def build_edge(work: Path) -> Path:
    """A bundle of the shape for edge devices at 1 and 4 steps in fp16, for small pictures: torch makes them too."""
    folder = work / "edge-fp16"
    if not (folder / bundle.MANIFEST).is_file():
        model, net = edge_shape.write(work / "edge")
        more: dict[str, Any] = {"precision": "fp16", "height": 128, "width": 128}
        codi_export.build("depth", (1, 4), folder, model=str(model), adapter=str(net), prompt="", **more)
    return folder


def trained() -> list[str]:
    """The tasks that the embedded model has an adapter for."""
    return [task for task in registry.names("tasks") if (zoo.folder("mini") / "adapters" / task).is_dir()]


def _adapter(task: str, work: Path) -> str:
    """The embedded model's own, "", or the folder of a random one."""
    if task in trained():
        return ""
    folder = work / f"adapter-{task}"
    if not folder.is_dir():
        torch.manual_seed(0)
        seen = registry.get("tasks", task).condition_channels
        net = adapters.new(backbones.load(zoo.folder("mini")), "pixels", width=16, seen=seen)
        for weight in net.parameters():
            if not weight.any():  # a new adapter is silent, and a silent one is folded away
                torch.nn.init.normal_(weight, std=0.02)
        adapters.save(net, AdapterSpec(task), folder)
    return str(folder)


def rows(folder: Path, target: str) -> Iterator[dict[str, Any]]:
    """Size, kernels and seconds of each engine of a bundle; those that are there already are not built again."""
    for result in finalize(folder, BACKEND, target):
        engine = result.engine
        print(f"{engine.path}  {engine.bytes / 1e6:.1f} MB  {sum(engine.kernels.values())} kernels  {engine.seconds} s")
        yield {
            "graph": engine.graph,
            "precision": engine.precision,
            "sm": engine.sm,
            "bytes": engine.bytes,
            "kernels": engine.kernels,
            "seconds": engine.seconds,
            "peak_bytes": engine.peak_bytes,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Build what is asked for; the result is written anew after each engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=registry.names("tasks"))
    parser.add_argument("--precision", action="append", choices=PRECISIONS)
    parser.add_argument("--target", action="append", choices=registry.names("targets"))
    parser.add_argument("--edge", action="store_true", help="the shape for edge devices, fp16, at 1 and 4 steps")
    parser.add_argument("--work", type=Path, default=Path("build/engines"), help="bundles and engines; kept")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parsed = parser.parse_args(arguments)
    parsed.work.mkdir(parents=True, exist_ok=True)
    parsed.output.parent.mkdir(parents=True, exist_ok=True)
    version = registry.get("backends", BACKEND).compiler.version()
    about = {"commit": compare.commit(), "conditions": machine.conditions(), "runtime": f"{BACKEND} {version}"}
    report: dict[str, Any] = {**about, "engines": []}
    for folder in _bundles(parsed):
        for row in (row for target in parsed.target or TARGETS for row in rows(folder, target)):
            report["engines"].append(row)
            parsed.output.write_text(json.dumps(report, indent=1) + "\n")


def _bundles(parsed: argparse.Namespace) -> Iterator[Path]:
    if parsed.edge:
        yield build_edge(parsed.work)
        return
    for task in parsed.task or trained():
        for precision in parsed.precision or PRECISIONS:
            yield build(task, precision, parsed.work)


if __name__ == "__main__":
    main()
