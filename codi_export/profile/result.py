"""What is in the result file of a profile, schema 1: what was measured, and all that one must know to measure it again.

This module is the schema's documentation; the C++ tool `codi-profile` writes the same file. It is one JSON object with
the fields of `Result`, records inside it likewise. The rules:

- `null` means 'not reported': no sensor, no counter, no estimate. It is never written as 0, and 0 is a measured 0.
- Units are in the names: `_ms`, `_s`, `_bytes`, `_mhz`, `_mw`, `_c` (degrees Celsius), `_j` (joules). Times are wall
  time. Percentiles are samples (nearest rank). Fields without a comment say what their name says.
- A reader ignores keys that it does not know. A field may be added under the same `schema`; one that is removed or
  changes its meaning gives it a new number, and a reader refuses a number above its own.
- `partial` and `marks` come first for a reader: a marked result is evidence of something, but not of the device's pace.
"""

from dataclasses import dataclass, field
from typing import Literal

from codi_export.latency import Latency
from codi_export.spec import PORTABLE, Parity, TensorSpec

SCHEMA = 1

Scenario = Literal["single", "batch", "stream"]


@dataclass(frozen=True, slots=True)
class Subject:
    """The graph that ran. `sha256`: of the bundle's codi.json, which holds the hashes of all its other files."""

    name: str
    sha256: str
    graph: str
    task: str
    steps: int
    precision: str
    sampler: str
    timesteps: tuple[int, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    model_bytes: int  # of all files that this graph reads


@dataclass(frozen=True, slots=True)
class Runtime:
    """What ran it. Switches that a runtime does not have are null."""

    tool: str  # "codi-export 0.1.0", "codi-profile 0.1.0"
    backend: str
    provider: str
    threads: int | None  # null: left to the runtime
    versions: dict[str, str] = field(default_factory=dict)  # of every library in the path
    cuda_graph: bool | None = None
    spin_wait: bool | None = None
    transfers: Literal["none", "included", "excluded"] = "none"  # in `engine_ms`; none: there is one memory only
    driver: str | None = None
    environment: dict[str, str] = field(default_factory=dict)  # variables that change speed: OMP_NUM_THREADS, CUDA_…
    lowering: str = PORTABLE  # of the graph


@dataclass(frozen=True, slots=True)
class Device:
    """The machine as it was when the measurement began."""

    name: str  # "AMD EPYC 9654", "NVIDIA Jetson Orin Nano Developer Kit"
    kind: Literal["cpu", "nvidia", "jetson"]
    system: str  # operating system and its release; on a Jetson L4T's
    cores: int | None = None
    memory_bytes: int | None = None  # host memory; on a Jetson all there is
    device_memory_bytes: int | None = None  # of a GPU that has its own
    power_mode: str | None = None  # nvpmodel's name, or a GPU's power limit
    governor: str | None = None  # of CPU frequency
    max_clocks_mhz: dict[str, float] = field(default_factory=dict)  # by "cpu", "gpu", "memory"
    sensors: tuple[str, ...] = ()  # what is read while measuring: "nvml", "tegrastats", "ina3221", "cpufreq", "rapl", …
    not_reported: tuple[str, ...] = ()  # of clocks, temperature, power, throttling: what none of them gives


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for."""

    scenario: Scenario
    iterations: int  # at most, over all runs
    duration_s: float | None  # at most, over all runs
    runs: int  # how often the graph was opened anew
    seed: int
    fps: float | None = None  # of a stream
    batch: int = 1  # pictures a call


@dataclass(frozen=True, slots=True)
class Quality:
    """Parity beside speed. `build`: with the torch pipeline, at build; `here`: with its recorded output, on this device
    just before the measurement, by the rules of `verify`; null where nothing was recorded."""

    build: Parity | None
    here: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """One opening of the graph and the calls that followed, in order; `…_ms[i]` of all three lists are one iteration's.

    `cold_load_ms`: reading, checking and preparing the files in a process that has the libraries loaded; the system's
    file cache is as it was found. `warmup_ms`: end-to-end calls that are in no statistic.
    """

    cold_load_ms: float
    first_ms: float | None
    warmup_ms: tuple[float, ...]
    stable: bool  # whether the warm-up ended because the times had settled
    start_s: tuple[float, ...]  # when each iteration began, since the measurement's start
    end_to_end_ms: tuple[float, ...]  # uint8 pictures in host memory to uint8 pictures in host memory, noise included
    engine_ms: tuple[float, ...]  # the graph alone, its tensors bound beforehand

    def __post_init__(self) -> None:
        if not len(self.start_s) == len(self.end_to_end_ms) == len(self.engine_ms):
            raise ValueError("start_s, end_to_end_ms and engine_ms differ in length")


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts[i]` samples lie in [edges_ms[i], edges_ms[i + 1]), in the last bin up to its edge."""

    edges_ms: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Did the pace change while it was measured?

    `within`: change from a run's first to its last iteration as a share of its median (Theil and Sen's slope), the
    median of the runs; `p`: of there being no trend, by Kendall's tau, the smallest of the runs times their number;
    `between`: the largest run median over the smallest, minus 1; null with one run.
    """

    within: float
    p: float
    between: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the engine's time: `condition`, `step1`, …, `decode`; the parts of a step where they can be told."""

    name: str
    ms: float
    share: float


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph as the runtime ran it. `roofline_ms` is computed, from the device's peak rates."""

    name: str  # the value that it makes, `stage/module/…`
    op: str
    stage: str
    shape: tuple[int, ...]  # of its first output
    ms: float  # the median over the calls that were looked into
    flops: int | None = None
    bytes: int | None = None
    roofline_ms: float | None = None
    roofline_share: float | None = None  # roofline_ms / ms: 1 is as fast as the device could be


@dataclass(frozen=True, slots=True)
class Span:
    """One node in one call, for the timeline."""

    name: str
    stage: str
    start_ms: float
    ms: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Where the engine's time goes, from a few calls of their own, which are slower than the timed ones: looking costs
    time. `engine_ms` = the stages + `unattributed_ms`; what belongs to no stage is never spread over them. In the file
    `stages` and `nodes` are at the top, beside `breakdown`, where a reader accepts them too."""

    method: str  # "onnxruntime profiler", "TensorRT layer profiler"
    calls: int
    engine_ms: float
    unattributed_ms: float
    stages: tuple[Stage, ...]
    nodes: tuple[Node, ...]  # the slowest first
    timeline: tuple[Span, ...] = ()
    roofline: str | None = None  # whose peak rates the rooflines are computed from, in words; and these
    peak_flops_per_s: float | None = None
    peak_bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What the sensors said at one moment."""

    time_s: float  # since the measurement's start
    clocks_mhz: dict[str, float] = field(default_factory=dict)
    temperatures_c: dict[str, float] = field(default_factory=dict)
    power_mw: dict[str, float] = field(default_factory=dict)  # by rail
    energy_j: float | None = None  # by a counter, since the measurement's start
    rss_bytes: int | None = None  # of this process
    device_bytes: int | None = None  # in use on the device, by all that run there
    throttling: tuple[str, ...] | None = None  # the reasons that hold now; empty: none


@dataclass(frozen=True, slots=True)
class Energy:
    """While the calls were timed; what the device draws when idle is in it."""

    source: str  # the rail or counter
    mean_mw: float
    joules_per_image: float


@dataclass(frozen=True, slots=True)
class Stream:
    """Pictures that arrive at a fixed rate. Only the newest is worked on; one that a newer replaces while it waits is
    missed. `arrived` counts up to the last that was worked on."""

    fps: float
    arrived: int
    done: int
    missed: int
    latency_ms: Latency | None  # from arrival to the picture made, waiting included


@dataclass(frozen=True, slots=True)
class Result:
    """A profile. The statistics are over all runs' samples."""

    date: str  # UTC, ISO 8601
    subject: Subject
    runtime: Runtime
    device: Device
    settings: Settings
    quality: Quality
    marks: tuple[str, ...]  # what makes it less than a clean result, a sentence each: throttled, not stable, …
    partial: bool  # ended before what was asked for
    cold_load_ms: float | None  # the first run's
    first_ms: float | None  # the first call of the first run
    end_to_end_ms: Latency | None  # null: not one iteration was finished
    engine_ms: Latency | None
    images_per_s: float | None  # one call after the other, end to end
    histogram: Histogram | None  # end to end
    drift: Drift | None  # null: too few samples
    peak_rss_bytes: int | None
    peak_device_bytes: int | None
    throttled: bool | None
    energy: Energy | None
    runs: tuple[Run, ...]
    readings: tuple[Reading, ...]
    breakdown: Breakdown | None
    stream: Stream | None = None
    schema: int = SCHEMA
