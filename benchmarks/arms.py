"""What a bundle's graph is timed against: other ways to do the same work, with the same weights, inputs and threads.

Each arm is tried once before it is timed: its picture may differ from ours by one level of 255 at most.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import codi_export
from benchmarks import compare
from benchmarks.compare import Arm, Options
from codi_export import bundle as bundles
from codi_export import registry
from codi_export.errors import CodiError
from codi_export.graph import store
from codi_export.graph.cache import default
from codi_export.graph.export import export
from codi_export.model import fuse
from codi_export.profile.bundle import graph_inputs
from codi_export.recipe import Recipe, prepare
from codi_export.runtime.opening import select
from codi_export.spec import Graph

KNOWN = (
    "torch", "compile", "components", "openvino", "openvino-components", "openvino-bf16", "openvino-bf16-components",
    "optimum",
)  # fmt: skip
MAX_LEVEL = 1
MIN_PSNR_DB = 40.0  # of what computes in bfloat16
OURS = "ours"

Arrays = dict[str, NDArray[Any]]
Call = Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Work:
    """One graph of a bundle with the inputs that all arms get, and where an arm may put files."""

    folder: Path
    graph: Graph
    inputs: Arrays
    threads: int
    scratch: Path

    @property
    def recipe(self) -> Recipe:
        """What the graph was built from: the torch modules."""
        builds = bundles.read_manifest(self.folder).builds
        spec = next(one for one in builds if one.task == self.graph.task and self.graph.steps in one.steps)
        return prepare(replace(spec, steps=(self.graph.steps,)))


@contextmanager
def work_of(folder: Path, steps: int, threads: int, task: str = "sr") -> Iterator[Work]:
    """A bundle's graph at this number of steps."""
    torch.set_num_threads(threads)
    graph = select(bundles.read_manifest(folder), task, steps)
    with tempfile.TemporaryDirectory() as scratch:
        yield Work(folder, graph, graph_inputs(folder, graph), threads, Path(scratch))


@contextmanager
def opened(
    folder: Path, steps: int, threads: int, against: Sequence[str], task: str = "sr"
) -> Iterator[tuple[list[Arm], dict[str, str]]]:
    """Ours and the others by name, ready to be called; and those that cannot be here, with the reason."""
    with work_of(folder, steps, threads, task) as work:
        mine = _ours(work)
        wanted, arms, missing = mine(), [Arm(OURS, mine)], {}
        for name in against:
            try:
                call = MAKERS[name](work)
            except Absent as reason:
                missing[name] = str(reason)
                continue
            _require_same(name, call(), wanted)
            arms.append(Arm(name, call))
        yield arms, missing


class Absent(Exception):
    """Why an arm cannot run here."""


def _require_same(name: str, got: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> None:
    difference = got.astype(np.float64) - wanted
    level = int(np.abs(difference).max())
    if level > MAX_LEVEL and not ("bf16" in name and 10 * np.log10(255**2 / np.mean(difference**2)) >= MIN_PSNR_DB):
        raise SystemExit(f"error: {name} is {level} levels of 255 from ours: it does other work, and is not timed")


def _ours(work: Work) -> Call:
    """The bundle as an application runs it: one ONNX Runtime session."""
    return _session(work, "onnxruntime")


def _session(work: Work, backend: str) -> Call:
    graph, threads = work.graph, work.threads
    session = codi_export.load(work.folder, graph.task, graph.steps, backend=backend, threads=threads)
    return partial(session.run, **work.inputs)


def _torch(work: Work, compiled: bool = False) -> Call:
    """The same modules called by torch, as diffusers' pipelines call them; or what `torch.compile` makes of them."""
    recipe = work.recipe
    pieces, schedule = recipe.pieces(), recipe.schedules[0]
    for module in (pieces.condition, pieces.step, pieces.decode) if compiled else ():
        module.compile()
    tensors = {name: torch.from_numpy(array) for name, array in work.inputs.items()}

    def call() -> NDArray[np.uint8]:
        with torch.inference_mode():
            levels, _, _ = fuse.run(pieces, schedule, recipe.sampler, **tensors)
        return levels.numpy()

    return call


def _components(work: Work, backend: str = "onnxruntime") -> Call:
    """One session each for condition, step and decode, as they were exported, and the loop in Python: how pipelines of
    exported parts are run elsewhere."""
    recipe = work.recipe
    exported = export(recipe.pieces(), work.inputs, default())
    open_ = registry.get("backends", backend).open
    folder = work.scratch / backend
    folder.mkdir()
    store.save_weights(exported.models, folder, work.graph.task)
    for model in exported.models:
        store.save(model, folder / f"{model.graph.name}.onnx")
    run = {name: open_(folder / f"{name}.onnx", "cpu", work.threads) for name in ("condition", "step", "decode")}
    prompt, steps, sampler = exported.prompt["prompt"].numpy(), recipe.schedules[0].steps, recipe.sampler
    image, noise = work.inputs["image"], work.inputs["noise"]
    takes = {model.graph.name: {str(value.name) for value in model.graph.inputs} for model in exported.models}

    def part(name: str, **given: NDArray[Any]) -> Arrays:
        outputs: Arrays = run[name]({key: value for key, value in given.items() if key in takes[name]})
        return outputs

    def call() -> NDArray[np.uint8]:
        given = part("condition", image=image, prompt=prompt)
        z = noise
        for index, step in enumerate(steps):
            numbers = {"t": np.array(step.t), "alpha": np.float32(step.alpha), "sigma": np.float32(step.sigma)}
            arrays = {name: np.asarray(number) for name, number in numbers.items()}
            x = part("step", z=z, prompt=prompt, **arrays, **given)["x"]
            if index + 1 < len(steps):
                mix = sampler.update(step, steps[index + 1])
                z = np.asarray(mix.x * x + mix.z * z + mix.noise * noise, np.float32)
        return part("decode", x=x, seen=given["seen"])["output"]

    return call


def _openvino(work: Work, maker: Callable[[Work, str], Call], backend: str) -> Call:
    """The same in OpenVINO, where it is installed."""
    try:
        return maker(work, backend)
    except CodiError as error:
        raise Absent(f"{error.message} ({error.hint})") from error


def _optimum(work: Work) -> Call:
    raise Absent(
        "optimum-onnx 0.1 exports no pipeline with a ControlNet, and needs transformers < 4.58; "
        "`components` is how it runs a pipeline's parts"
    )


def options(about: str | None, arguments: Sequence[str] | None) -> tuple[Options, Path]:
    """The shared options, all arms by default; and where bundles are built and kept."""
    parser = compare.parser(about, KNOWN)
    parser.add_argument("--bundles", type=Path, default=Path("demo/benchmarks"), help="where bundles are kept")
    parsed = parser.parse_args(arguments)
    return compare.options(parsed, KNOWN), parsed.bundles


MAKERS: dict[str, Callable[[Work], Call]] = {
    "torch": _torch,
    "compile": partial(_torch, compiled=True),
    "components": _components,
    "openvino": partial(_openvino, maker=_session, backend="openvino"),
    "openvino-components": partial(_openvino, maker=_components, backend="openvino"),
    "openvino-bf16": partial(_openvino, maker=_session, backend="openvino-bf16"),
    "openvino-bf16-components": partial(_openvino, maker=_components, backend="openvino-bf16"),
    "optimum": _optimum,
}


def bundle(kept: Path, steps: Sequence[int], size: int = 0, task: str = "sr") -> Path:
    """The embedded model's bundle for these steps and output size, built where it is not there yet."""
    name = f"{task}-{'-'.join(map(str, steps))}step" + (f"-{size}" if size else "")
    if not (kept / name / bundles.MANIFEST).is_file():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        codi_export.build(task, list(steps), kept / name, height=size, width=size)
    return kept / name
