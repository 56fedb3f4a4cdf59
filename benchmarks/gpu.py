"""On an NVIDIA GPU, in one call: each task at 1, 2 and 4 steps in fp32 and fp16, one fused graph beside torch eager,
torch.compile (max-autotune, CUDA graphs) and the same parts as sessions of their own with a loop in Python.

    python -m benchmarks.pieces join wheels && pip install --no-index --no-deps wheels/*.whl
    python -m benchmarks.gpu -o benchmarks/results/h200/gpu.json

All arms hold their weights on the GPU, take a picture from the host and give one back. `--dry` does the same on the CPU
with one round and without torch.compile: it shows that the script works, and its times mean nothing. Goes on where it
was stopped: bundles and finished rows are kept.
"""

import argparse
import copy
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

import codi_export
from benchmarks import compare, engines
from benchmarks.compare import Arm, Options
from codi_export import bundle as bundles
from codi_export import registry
from codi_export.graph import passes, store
from codi_export.graph.cache import default
from codi_export.graph.export import export
from codi_export.model import fuse
from codi_export.profile.bundle import graph_inputs
from codi_export.recipe import Recipe, prepare
from codi_export.records import to_json
from codi_export.spec import Graph, PrecisionChoice

Device = Literal["cuda", "cpu"]
Arrays = dict[str, NDArray[Any]]
Call = Callable[[], NDArray[np.uint8]]

STEPS = (1, 2, 4)
PRECISIONS: tuple[PrecisionChoice, ...] = ("fp32", "fp16")
CLOSE_DB = {"fp32": 48.0, "fp16": 40.0}  # of uint8 pictures; 48 is one level everywhere (GPUs multiply in TF32)
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
TYPES = {"tensor(uint8)": torch.uint8, "tensor(float)": torch.float32, "tensor(float16)": torch.float16}
TYPES |= {"tensor(int64)": torch.int64}


def arms(folder: Path, graph: Graph, device: Device, scratch: Path, compiled: bool = True) -> list[Arm]:
    """Ours first. Exits if an arm's picture is another than ours."""
    inputs = graph_inputs(folder, graph)
    build = next(one for one in bundles.read_manifest(folder).builds if one.task == graph.task)
    recipe = prepare(replace(build, steps=(graph.steps,)))
    session = codi_export.load(folder, graph.task, graph.steps, provider=device)
    made = [
        Arm("ours", partial(session.run, **inputs)),
        Arm("torch", torch_call(recipe, inputs, device)),
        Arm("components", components(recipe, graph, inputs, device, scratch)),
    ]
    if compiled:
        made.append(Arm("compile", torch_call(recipe, inputs, device, "max-autotune")))
    wanted = session.run(**inputs)
    for arm in made[1:]:
        _require_close(arm.name, np.asarray(arm.call()), wanted, CLOSE_DB[graph.precision])
    return made


def torch_call(recipe: Recipe, inputs: Arrays, device: Device, mode: str = "") -> Call:
    """The same modules called by torch, compiled where a `mode` is given; copies, for both happens in place."""
    pieces = copy.deepcopy(recipe.pieces())
    half = recipe.precision == "fp16"
    for module in (pieces.condition, pieces.step, pieces.decode):
        module.to(device, torch.float16 if half else torch.float32)
        if mode:
            module.compile(mode=mode)
    pieces = replace(pieces, prompt=pieces.prompt.to(device))
    schedule = recipe.schedules[0]
    mixed = torch.autocast(device, torch.float16) if half else nullcontext()

    def call() -> NDArray[np.uint8]:
        with torch.inference_mode(), mixed, torch.device(device):
            tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
            levels, _, _ = fuse.run(pieces, schedule, recipe.sampler, **tensors)
        return levels.cpu().numpy()

    return call


class Part:
    """One session; tensors stay on the device between parts, as a careful loop in Python keeps them."""

    def __init__(self, path: Path, device: Device) -> None:
        self.device = device
        self.session: Any = onnxruntime.InferenceSession(str(path), providers=[PROVIDERS[device]])

    def __call__(self, **tensors: Tensor) -> dict[str, Tensor]:
        binding, held, outputs = self.session.io_binding(), [], {}
        for one in self.session.get_inputs():
            tensor = tensors[one.name].to(self.device, TYPES[one.type]).contiguous()
            held.append(tensor)
            binding.bind_input(one.name, self.device, 0, _numpy(tensor), tuple(tensor.shape), tensor.data_ptr())
        for one in self.session.get_outputs():
            tensor = outputs[one.name] = torch.empty(one.shape, dtype=TYPES[one.type], device=self.device)
            binding.bind_output(one.name, self.device, 0, _numpy(tensor), tuple(tensor.shape), tensor.data_ptr())
        if self.device == "cuda":
            torch.cuda.synchronize()  # what torch still writes, the session would read
        self.session.run_with_iobinding(binding)
        return outputs


def components(recipe: Recipe, graph: Graph, inputs: Arrays, device: Device, scratch: Path) -> Call:
    """Condition, step and decode as sessions of their own, and the loop in Python."""
    exported = export(recipe.pieces(), inputs, default())
    folder = scratch / f"{graph.name}-{graph.precision}"
    folder.mkdir(parents=True)
    for model in exported.models:
        passes.run(model, passes.precision(recipe.precision))
    store.save_weights(exported.models, folder, graph.task)
    for model in exported.models:
        store.save(model, folder / f"{model.graph.name}.onnx")
    condition, step, decode = (Part(folder / f"{name}.onnx", device) for name in ("condition", "step", "decode"))
    prompt = torch.from_numpy(exported.prompt["prompt"].numpy()) if exported.prompt else None
    steps = recipe.schedules[0].steps

    def call() -> NDArray[np.uint8]:
        given = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
        given["prompt"] = given.pop("prompt_embeds") if prompt is None else prompt
        noise = z = given["noise"]
        seen = condition(**given)
        for index, one in enumerate(steps):
            numbers = {name: torch.tensor(getattr(one, name), device=device) for name in ("t", "alpha", "sigma")}
            x = step(**given, **seen, **numbers, z=z)["x"]
            if index + 1 < len(steps):
                mix = recipe.sampler.update(one, steps[index + 1])
                z = mix.x * x + mix.z * z + mix.noise * noise
        return decode(x=x, **seen)["output"].cpu().numpy()

    return call


def measure(
    work: Path, tasks: Sequence[str], device: Device, opts: Options, done: dict[str, Any], compiled: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """A row for each graph that is not `done` yet."""
    for task in tasks:
        for precision in PRECISIONS:
            folder = engines.build(task, precision, work)
            for graph in bundles.read_manifest(folder).graphs:
                name = f"{graph.name}-{precision}"
                if name in done:
                    continue
                made = arms(folder, graph, device, work / "parts", compiled)
                samples = compare.interleave(made, opts.rounds, opts.seed, synchronise=_synchronise(device))
                yield name, {"rows": [to_json(row) for row in compare.rows(samples)], "samples": samples}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not in the output file yet; it is written anew after each graph."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=registry.names("tasks"))
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--work", type=Path, default=Path("build/gpu"), help="bundles and parts; kept")
    parser.add_argument("--dry", action="store_true", help="on the CPU, to try the script")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parsed = parser.parse_args(arguments)
    device: Device = "cpu" if parsed.dry else "cuda"
    opts = Options((), 1 if parsed.dry else parsed.rounds, 1, 0, parsed.output)
    report = json.loads(parsed.output.read_text()) if parsed.output.is_file() else {"graphs": {}}
    report |= {"dry": parsed.dry, "device": _device(device), "environment": compare.environment(1)}
    tasks = parsed.task or registry.names("tasks")
    for name, row in measure(parsed.work, tasks, device, opts, report["graphs"], not parsed.dry):
        report["graphs"][name] = row
        parsed.output.parent.mkdir(parents=True, exist_ok=True)
        parsed.output.write_text(json.dumps(report, indent=1) + "\n")
        times = ", ".join(f"{one['name']} {one['ms']['p50']:.2f} ms" for one in row["rows"])
        print(f"{name}: {times}")


def _device(device: Device) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "none: a dry run"


def _synchronise(device: Device) -> Callable[[], object]:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def _numpy(tensor: Tensor) -> Any:
    return np.dtype(str(tensor.dtype).removeprefix("torch."))


def _require_close(name: str, got: NDArray[Any], wanted: NDArray[Any], limit: float) -> None:
    error = float(np.mean((got.astype(np.float64) - wanted) ** 2))
    psnr = 10 * np.log10(255**2 / error) if error else np.inf
    if not psnr >= limit:
        raise SystemExit(f"error: {name} is {psnr:.1f} dB from ours, expected {limit}: it does other work")


if __name__ == "__main__":
    main()
