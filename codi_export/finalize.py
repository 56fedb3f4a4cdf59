"""Build the engines that a bundle lacks for the GPU here, and check each against torch's output.

No torch, no ONNX tools: the base install and the device's TensorRT. It can be killed at any time: what is whole is
kept, and the next call goes on from there.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codi_export import bundle, costs, engines, files, machine, planner, registry
from codi_export.backends import Backend, Compiler, Device, EngineOptions, Phases
from codi_export.engines import Engine
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime import verify
from codi_export.runtime.session import Session
from codi_export.spec import Graph, Manifest
from codi_export.targets import TargetSpec

CHOICE = ("tensorrt", "tensorrt-rtx")  # the first that is installed

Progress = Callable[[str], Phases]  # what comes next -> where its phases are told


@dataclass(frozen=True, slots=True)
class Result:
    """An engine, and whether this call built it."""

    engine: Engine
    built: bool


def finalize(
    folder: Path,
    backend: str = "",
    target: str = "",
    options: EngineOptions | None = None,
    swappable: bool = False,
    graphs: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    progress: Progress = lambda label: lambda *_: None,
) -> Iterator[Result]:
    """An engine for each graph of the bundle, one after the other; `graphs` names some of them.

    With a `target` they are built ahead of time for its kind of GPU, and left unchecked until `finalize` runs there.
    `backend` "" is what is installed; `swappable` engines can take another adapter's weights; `plugins` are libraries
    of custom operators. Raises CodiError.
    """
    manifest = bundle.read_manifest(folder)
    bundle.check(folder, manifest)
    chosen, device = where(backend, target)
    assert chosen.compiler is not None
    for plugin in plugins:
        chosen.compiler.load_plugin(plugin)
    for graph in (graph for graph in manifest.graphs if not graphs or graph.name in graphs):
        if target:
            planner.refuse(registry.get("targets", target), graph.precision)
        planner.refuse_gpu(device.name, device.sm, graph.precision)
        weights = _adapter_weights(folder, graph) if swappable else ()
        wanted = replace(options or EngineOptions(), refittable=weights)
        yield _finish(_Job(folder, manifest, graph, chosen, device, wanted), progress)


def where(backend: str, target: str) -> tuple[Backend, Device]:
    """What builds engines, and for which GPU: the target's, or the one that is here. Raises CodiError (bad-option,
    unknown-name, missing-package, backend) before any work is done."""
    chosen = _backend(backend)
    assert chosen.compiler is not None
    chosen.compiler.version()  # an absent package is the first thing to know
    if not target:
        return chosen, chosen.compiler.device()
    ahead: TargetSpec = registry.get("targets", target)
    if not ahead.sm:
        raise CodiError(
            ErrorCode.BAD_OPTION, f"target {target} has no NVIDIA GPU to build engines for", "codi-export list targets"
        )
    return chosen, Device(ahead.device, ahead.sm, "", 0)


def _adapter_weights(folder: Path, graph: Graph) -> tuple[str, ...]:
    """The names that the graph knows them by."""
    _, tensors = files.header(folder / "graphs" / f"{graph.task}.safetensors")
    return tuple(sorted(tensors))


@dataclass(frozen=True, slots=True)
class _Job:
    """One graph for one device."""

    folder: Path
    manifest: Manifest
    graph: Graph
    backend: Backend
    device: Device
    options: EngineOptions

    @property
    def name(self) -> str:
        return engines.stem(self.manifest, self.graph, self.backend, self.device.sm)

    @property
    def compiler(self) -> Compiler:
        assert self.backend.compiler is not None
        return self.backend.compiler


def _finish(job: _Job, progress: Progress) -> Result:
    engine, built = _whole(job), False
    if engine is None:
        engine, built = _refitted(job) or _built(job, progress), True
    if not engine.golden and job.device.driver:
        engine = replace(engine, golden=_judged(job, engine), driver=job.device.driver, device=job.device.name)
        engines.write_sidecar(job.folder, engine)
    return Result(engine, built)


def _whole(job: _Job) -> Engine | None:
    """What is there of an earlier call, if it can what is asked for; a damaged engine is built again."""
    try:
        engine = engines.read(job.folder, job.name)
    except CodiError:
        return None
    if engine is None or (job.options.refittable and not engine.swappable):
        return None
    if job.options.stripped and not engine.stripped:
        return None
    return None if job.options.version_compatible and not engine.version_compatible else engine


def _refitted(job: _Job) -> Engine | None:
    """A swappable engine of a former adapter, with the weights of this one; None if there is none."""
    adapter, now = f"graphs/{job.graph.task}.safetensors", engines.sources(job.manifest, job.graph)
    wanted = job.backend.name, job.compiler.version(), job.device.sm
    for engine in engines.all_of(job.folder, job.graph):
        same = engine.sources | {adapter: ""} == now | {adapter: ""}
        if same and engine.swappable and (engine.backend, engine.version, engine.sm) == wanted and job.device.driver:
            start = time.perf_counter()
            data = job.compiler.refit(job.folder / engine.path, job.folder / job.graph.path)
            seconds = round(time.perf_counter() - start, 1)
            return engines.write(job.folder, job.name, data, replace(engine, sources=now, seconds=seconds, golden=""))
    return None


def _built(job: _Job, progress: Progress) -> Engine:
    nodes = costs.read(job.folder, job.graph) if job.graph.cost else ()
    options = replace(
        job.options,
        sm=0 if job.device.driver else job.device.sm,
        timing_cache=job.options.timing_cache or engines.timing_cache(job.folder, job.backend, job.device.sm),
        log=job.folder / engines.FOLDER / f"{job.name}.log",
        modules={node.name: node.module for node in nodes},
    )
    start = time.perf_counter()
    phases = progress(f"{job.graph.name} for SM {job.device.sm}")
    built = job.compiler.build(job.folder / job.graph.path, options, phases)
    engine = Engine(
        graph=job.graph.name,
        backend=job.backend.name,
        version=job.compiler.version(),
        sm=job.device.sm,
        device=job.device.name,
        driver=job.device.driver,
        precision=job.graph.precision,
        inputs=job.graph.inputs,
        sources=engines.sources(job.manifest, job.graph),
        seconds=round(time.perf_counter() - start, 1),
        peak_bytes=machine.peak_bytes(),
        swappable=bool(options.refittable),
        version_compatible=options.version_compatible,
        stripped=options.stripped,
        kernels=built.kernels,
        warnings=built.warnings,
    )
    return engines.write(job.folder, job.name, built.engine, engine)


def _judged(job: _Job, engine: Engine) -> str:
    """What the comparison with torch's output says; after a swap there is none to compare with."""
    if job.manifest.swapped(job.graph):
        return "no output is recorded for this adapter"
    runner = engines.open_(job.folder, job.graph, job.backend, engine)
    return verify.judge(job.folder, job.graph, Session(job.graph, "gpu", job.backend.name, "hash", runner))


def _backend(name: str) -> Backend:
    if name:
        found: Backend = registry.get("backends", name)
        if found.compiler is None:
            raise CodiError(
                ErrorCode.BAD_OPTION, f"{name} runs graphs as they are", f"--backend is one of {', '.join(CHOICE)}"
            )
        return found
    for one in CHOICE:
        backend: Backend = registry.get("backends", one)
        assert backend.compiler is not None
        try:
            backend.compiler.version()
        except CodiError as error:
            missing = error
            continue
        return backend
    raise missing
