"""Profile one graph of a bundle on this machine: from a folder to a `Result`."""

import datetime
import os
import platform
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from codi_export import __version__, costs, files, machine, registry
from codi_export import bundle as bundles
from codi_export.backends import Backend
from codi_export.errors import CodiError, ErrorCode
from codi_export.latency import summarise
from codi_export.profile import roofline, statistics
from codi_export.profile.breakdown import breakdown
from codi_export.profile.energy import energy, fallen_clocks, largest, throttled
from codi_export.profile.measure import Measured, Progress, Time, measure
from codi_export.profile.result import (
    Breakdown,
    Device,
    Quality,
    Reading,
    Result,
    Runtime,
    Settings,
    Subject,
)
from codi_export.profile.sensors import Sensor, cpu, describe, jetson, nvml
from codi_export.profile.watch import Watch
from codi_export.runtime import noise as noises
from codi_export.runtime import verify
from codi_export.runtime.session import Session, load, select
from codi_export.spec import Graph, Manifest

ENVIRONMENT = ("OMP_", "MKL_", "OPENBLAS_", "ORT_", "CUDA_", "NVIDIA_", "TENSORRT_", "KMP_")
TRACED_CALLS = 5
MOST_TRACE_MS = 20_000.0
UNSTEADY = 1.25  # p95 over p50: above it something disturbed the measurement
RUNS_DIFFER = 0.05
CROWDED = 0.3  # of the cores, at work for others before the measurement began

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which graph of a bundle, on what. None is the session's own default. `target`: whose data sheet the rooflines are
    computed from; None finds it, or measures a CPU."""

    task: str | None = None
    steps: int | None = None
    provider: str = "cpu"
    backend: str = "onnxruntime"
    threads: int | None = None
    target: str | None = None


@dataclass(slots=True)
class _Graph:
    """An opened graph with its inputs in place: what `measure` calls."""

    session: Session
    backend: Backend
    inputs: Arrays
    batch: bool
    bound: Callable[[], object] = field(init=False)

    def __post_init__(self) -> None:
        runner = self.session.runner
        bind = self.backend.bind
        self.bound = bind(runner, self.inputs) if bind else lambda: runner(self.inputs)

    def end_to_end(self, seed: int) -> object:
        if self.batch:
            shape = self.inputs["noise"].shape
            return self.session.run(**{**self.inputs, "noise": noises.normal(seed, shape)})
        given = {name: self.inputs[name] for name in ("prompt_embeds", "adapter_scale") if name in self.inputs}
        fixed: dict[str, Any] = {name: value[:1] if value.ndim else float(value) for name, value in given.items()}
        if "mask" in self.inputs:
            fixed["mask"] = self.inputs["mask"][0, ..., 0]
        return self.session(self.inputs["image"][0], seed, **fixed)

    def engine(self) -> object:
        return self.bound()


def profile_bundle(
    folder: Path,
    choice: Choice,
    settings: Settings,
    clock: Time | None = None,
    sensors: Sequence[Sensor] | None = None,
    progress: Progress = lambda done, total: None,
) -> Result:
    """Measure, look into some calls, check against the recorded output. Ctrl-C keeps what there is by then.

    Raises CodiError as `load` does, and (bad-option) for what the graph cannot do.
    """
    clock = clock or Time()
    manifest = bundles.read_manifest(folder)
    graph = select(manifest, choice.task, choice.steps)
    backend: Backend = registry.get("backends", choice.backend)
    _require_possible(graph, settings)
    inputs = graph_inputs(folder, graph)
    sensors = find_sensors(choice) if sensors is None else sensors
    load_before = _others_at_work()
    watch = Watch(sensors, clock.now, clock.now())
    device = describe(sensors, watch.look())

    def opened() -> _Graph:
        session = load(folder, choice.task, choice.steps, choice.provider, choice.backend, threads=choice.threads)
        return _Graph(session, backend, inputs, settings.scenario == "batch")

    watch.start()
    try:
        measured = measure(opened, settings, clock, progress)
    finally:
        watch.stop()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for sensor in sensors:
            sensor.close()
    looked, quality = None, Quality(graph.parity, None, "not checked: the measurement was stopped")
    if not measured.interrupted:
        try:
            looked = _look_inside(folder, graph, choice, backend, inputs, measured, device)
            quality = _quality(folder, manifest, graph, choice)
        except KeyboardInterrupt:
            measured.interrupted = True
    return _result(
        subject=_subject(folder, manifest, graph),
        runtime=_runtime(choice, backend, sensors),
        device=device,
        settings=settings,
        quality=quality,
        measured=measured,
        watch=watch,
        peak_rss_bytes=peak,
        breakdown=looked,
        others=load_before,
    )


def find_sensors(choice: Choice) -> list[Sensor]:
    """What this machine has; a GPU's only if the graph runs on it."""
    on_cpu = choice.provider == "cpu" and choice.backend in ("onnxruntime", "openvino", "openvino-bf16")
    return [*jetson.find(), *([] if on_cpu else nvml.find()), *cpu.find()]


def graph_inputs(folder: Path, graph: Graph) -> Arrays:
    """The photo, noise and others that the build recorded; random ones of the right shape where it did not."""
    if graph.golden:
        recorded = load_file(folder / graph.golden)
        if all(spec.name in recorded for spec in graph.inputs):
            return {spec.name: recorded[spec.name] for spec in graph.inputs}
    rng = np.random.default_rng(0)
    made: Arrays = {}
    for spec in graph.inputs:
        shape = [size if isinstance(size, int) else 1 for size in spec.shape]
        drawn = rng.integers(0, 256, shape) if spec.dtype == "uint8" else rng.standard_normal(shape)
        made[spec.name] = np.asarray(drawn, dtype=spec.dtype)
    return made


def _require_possible(graph: Graph, settings: Settings) -> None:
    if settings.scenario == "batch" and settings.batch == 1:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"{graph.name} takes one picture a call: no batch to measure",
            "codi-export build --batch-size 4, or --scenario single",
        )


def _look_inside(
    folder: Path, graph: Graph, choice: Choice, backend: Backend, inputs: Arrays, measured: Measured, device: Device
) -> Breakdown | None:
    if backend.trace is None:
        return None
    times = [ms for run in measured.runs for ms in run.engine_ms or run.warmup_ms]
    calls = TRACED_CALLS if not times else max(1, min(TRACED_CALLS, int(MOST_TRACE_MS / median(times))))
    traced = backend.trace(folder / graph.path, choice.provider, choice.threads, inputs, calls)
    known = {cost.name: cost for cost in costs.read(folder, graph)} if graph.cost else {}
    return breakdown(f"{backend.name} profiler", traced, known, _roof(choice, device, graph.precision))


def _roof(choice: Choice, device: Device, precision: str) -> roofline.Roof | None:
    if choice.target:
        return roofline.of_target(registry.get("targets", choice.target), precision)
    return roofline.of_device(device, precision) or (roofline.measured() if device.kind == "cpu" else None)


def _quality(folder: Path, manifest: Manifest, graph: Graph, choice: Choice) -> Quality:
    if not graph.golden or manifest.swapped(graph):
        return Quality(None if manifest.swapped(graph) else graph.parity, None, "not recorded")
    try:
        return Quality(graph.parity, True, verify.golden(folder, graph, choice.provider, choice.backend))
    except CodiError as error:
        if error.code is not ErrorCode.PARITY:
            raise
        return Quality(graph.parity, False, error.message)


def _subject(folder: Path, manifest: Manifest, graph: Graph) -> Subject:
    others = {one.path for one in manifest.graphs} - {graph.path}
    tasks = {one.task for one in manifest.graphs} - {graph.task}
    unread = others | {f"graphs/{task}.safetensors" for task in tasks}
    read = [one for one in manifest.files if one.path.startswith("graphs/") and not one.path.endswith(".json")]
    return Subject(
        name=folder.resolve().name,
        sha256=files.sha256(folder / bundles.MANIFEST),
        graph=graph.name,
        task=graph.task,
        steps=graph.steps,
        precision=graph.precision,
        sampler=graph.sampler,
        timesteps=tuple(step.t for step in graph.schedule.steps),
        inputs=graph.inputs,
        outputs=graph.outputs,
        model_bytes=sum(one.bytes for one in read if one.path not in unread),
    )


def _runtime(choice: Choice, backend: Backend, sensors: Sequence[Sensor]) -> Runtime:
    versions = {name: found for name in machine.PACKAGES if (found := machine.version(name))}
    on_cpu = choice.provider == "cpu"
    return Runtime(
        tool=f"codi-export {__version__}",
        backend=choice.backend,
        provider=choice.provider,
        threads=choice.threads,
        versions={"python": platform.python_version(), **versions},
        spin_wait=True if choice.backend == "onnxruntime" and on_cpu else None,
        transfers="none" if on_cpu else ("excluded" if backend.bind else "included"),
        driver=next((sensor.facts.driver for sensor in sensors if sensor.facts.driver), None),
        environment={name: value for name, value in sorted(os.environ.items()) if name.startswith(ENVIRONMENT)},
    )


def _others_at_work() -> float | None:
    """Cores that were busy in the last minute."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _result(
    subject: Subject,
    runtime: Runtime,
    device: Device,
    settings: Settings,
    quality: Quality,
    measured: Measured,
    watch: Watch,
    peak_rss_bytes: int,
    breakdown: Breakdown | None,
    others: float | None,
) -> Result:
    runs, readings = measured.runs, watch.readings
    whole = list(chain.from_iterable(run.end_to_end_ms for run in runs))
    engine = list(chain.from_iterable(run.engine_ms for run in runs))
    end_to_end = summarise(whole) if whole else None
    change = statistics.drift([run.end_to_end_ms for run in runs])
    held_back, _ = throttled(readings)
    return Result(
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        subject=subject,
        runtime=runtime,
        device=device,
        settings=settings,
        quality=quality,
        marks=tuple(marks(measured, settings, quality, watch, device, others)),
        partial=measured.interrupted,
        cold_load_ms=runs[0].cold_load_ms if runs else None,
        first_ms=runs[0].first_ms if runs else None,
        end_to_end_ms=end_to_end,
        engine_ms=summarise(engine) if engine else None,
        images_per_s=1000 * settings.batch / end_to_end.mean if end_to_end else None,
        histogram=statistics.histogram(whole) if whole else None,
        drift=change,
        peak_rss_bytes=peak_rss_bytes,
        peak_device_bytes=largest(readings, lambda reading: reading.device_bytes),
        throttled=held_back,
        energy=_energy(measured, readings, end_to_end.mean / 1000 / settings.batch) if end_to_end else None,
        runs=tuple(runs),
        readings=tuple(readings),
        breakdown=breakdown,
        stream=measured.stream,
    )


def _energy(measured: Measured, readings: Sequence[Reading], image_s: float) -> Any:
    starts = [run.start_s for run in measured.runs if run.start_s]
    last = measured.runs[-1]
    end = starts[-1][-1] + (last.end_to_end_ms[-1] + last.engine_ms[-1]) / 1000 if last.start_s else starts[-1][-1]
    return energy(readings, starts[0][0], end, image_s)


def marks(
    measured: Measured, settings: Settings, quality: Quality, watch: Watch, device: Device, others: float | None
) -> list[str]:
    """What makes it less than a clean result, a sentence each."""
    times = [run.end_to_end_ms for run in measured.runs]
    whole = [ms for run in times for ms in run]
    said = ["partial: stopped before all was measured"] if measured.interrupted else []
    if quality.here is False:
        said.append(f"fails parity here: {quality.detail}")
    if not whole:
        said.append("no iteration was timed")
    if len(whole) == 1:
        said.append("one iteration: nothing is known of its spread")
    if settings.iterations and (unstable := sum(not run.stable for run in measured.runs)):
        said.append(f"times had not settled after the warm-up in {unstable} of {len(measured.runs)} runs")
    if others is not None and device.cores and others > CROWDED * device.cores:
        said.append(f"other work kept {others:.1f} of {device.cores} cores busy when it began")
    if len(whole) > 4 and (ratio := (found := summarise(whole)).p95 / found.p50) > UNSTEADY:
        said.append(f"unsteady: p95 is {ratio:.2f} times p50")
    if change := statistics.drift(times):
        if statistics.drifted(change):
            said.append(f"times drift by {change.within:+.1%} over a run")
        if change.between is not None and change.between > RUNS_DIFFER:
            said.append(f"runs differ by {change.between:.1%}")
    said += [sentence for sentence in (throttled(watch.readings)[1],) if sentence]
    said += fallen_clocks(watch.readings)
    said += [f"the sensor {name} stopped to answer after {time_s:.1f} s" for name, time_s in watch.lost.items()]
    return said
