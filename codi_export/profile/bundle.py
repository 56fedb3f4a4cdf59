"""Profile one graph of a bundle on this machine: from a folder to a `Result`."""

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from codi_export import bundle as bundles
from codi_export import costs, machine, registry
from codi_export.backends import Backend
from codi_export.errors import CodiError, ErrorCode
from codi_export.latency import summarise
from codi_export.profile import provenance, roofline, statistics
from codi_export.profile.breakdown import breakdown
from codi_export.profile.energy import energy, largest, throttled
from codi_export.profile.marks import marks
from codi_export.profile.measure import Measured, Progress, Time, measure
from codi_export.profile.provenance import Choice
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
from codi_export.runtime.opening import load, select
from codi_export.runtime.session import Session
from codi_export.spec import Graph, Manifest

TRACED_CALLS = 5
MOST_TRACE_MS = 20_000.0

Arrays = dict[str, NDArray[Any]]


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
        given = {name: self.inputs[name] for name in self.inputs if name not in ("image", "mask", "noise")}
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
    load_before = machine.others_at_work()
    watch = Watch(sensors, clock.now, clock.now())
    device = describe(sensors, watch.look())

    last: list[Session] = []

    def opened() -> _Graph:
        last.clear()  # its memory goes before the next one's comes
        session = load(folder, choice.task, choice.steps, choice.provider, choice.backend, threads=choice.threads)
        last.append(session)
        return _Graph(session, backend, inputs, settings.scenario == "batch")

    watch.start()
    try:
        measured = measure(opened, settings, clock, progress)
    finally:
        watch.stop()
        peak = machine.peak_bytes()
        for sensor in sensors:
            sensor.close()
    looked, quality = None, Quality(graph.parity, None, "not checked: the measurement was stopped")
    if not measured.interrupted:
        try:
            quality = _quality(folder, manifest, graph, last[-1])
            last.clear()
            looked = _look_inside(folder, graph, choice, backend, inputs, measured, device)
        except KeyboardInterrupt:
            measured.interrupted = True
    return _result(
        subject=provenance.subject(folder, manifest, graph, backend),
        runtime=provenance.runtime(choice, graph, backend, sensors),
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
    return [*jetson.find(), *([] if choice.on_cpu else nvml.find()), *cpu.find()]


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
    _, path = graph.lowered(backend.lowering(choice.provider))
    traced = backend.trace(folder / path, choice.provider, choice.threads, inputs, calls)
    known = {cost.name: cost for cost in costs.read(folder, graph)} if graph.cost else {}
    return breakdown(f"{backend.name} profiler", traced, known, _roof(choice, device, graph.precision))


def _roof(choice: Choice, device: Device, precision: str) -> roofline.Roof | None:
    if choice.target:
        return roofline.of_target(registry.get("targets", choice.target), precision)
    return roofline.of_device(device, precision) or (roofline.measured() if device.kind == "cpu" else None)


def _quality(folder: Path, manifest: Manifest, graph: Graph, session: Session) -> Quality:
    if not graph.golden or manifest.swapped(graph):
        return Quality(None if manifest.swapped(graph) else graph.parity, None, "not recorded")
    try:
        return Quality(graph.parity, True, verify.judge(folder, graph, session))
    except CodiError as error:
        if error.code is not ErrorCode.PARITY:
            raise
        return Quality(graph.parity, False, error.message)


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
