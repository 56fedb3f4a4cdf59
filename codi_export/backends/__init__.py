"""One `Backend` a file: a runtime that opens a graph. An absent runtime costs nothing until its backend is used."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export.spec import PORTABLE, Precision

Arrays = dict[str, NDArray[np.generic]]
Runner = Callable[[Arrays], dict[str, NDArray[Any]]]  # inputs by name -> outputs by name
Phases = Callable[[str, int, int], None]  # phase, steps of it done, steps in all
Shapes = dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]  # input -> smallest, usual, largest


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine is built. `sm` 0: for the GPU that is here; a level of None and a workspace of 0 are the runtime's
    own; `buckets`: one optimisation profile each, for graphs with free sizes. `refittable`: weights that can be
    replaced later; `stripped`: weights that are in the graph's files are left out, and read there when it is opened."""

    sm: int = 0
    level: int | None = None  # 0 builds fast, 5 searches longest
    workspace_bytes: int = 0
    version_compatible: bool = False
    stripped: bool = False
    refittable: tuple[str, ...] = ()
    buckets: tuple[Shapes, ...] = ()
    timing_cache: Path | None = None
    log: Path | None = None  # where what the builder said is kept if it fails
    modules: dict[str, str] = field(default_factory=dict)  # node -> the module that it came from


@dataclass(frozen=True, slots=True)
class Built:
    """An engine, and its kernels by kind as the builder listed them."""

    engine: bytes
    kernels: dict[str, int]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """The GPU that is here. `driver`: the newest CUDA that it knows."""

    name: str
    sm: int
    driver: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Compiler:
    """What a runtime that builds engines can do beside open them; all raise CodiError. `version()`: of the runtime;
    `device()`: the GPU here; `refit(engine, graph)`: the engine with the weights that the graph has now;
    `open_stripped(engine, graph)`: as `Backend.open`, with the graph's weights; `load_plugin(library)`: its custom
    operators, for the whole process."""

    version: Callable[[], str]
    device: Callable[[], Device]
    build: Callable[[Path, EngineOptions, Phases], Built]
    refit: Callable[[Path, Path], bytes]
    open_stripped: Callable[[Path, Path], Runner]
    load_plugin: Callable[[Path], None]
    timing_cache: bool


@dataclass(frozen=True, slots=True)
class NodeTime:
    """A node in one call, in milliseconds since the call began. `inputs` and `shape`: of what it reads and of its first
    output; `bytes` of all that it reads and writes, None where the runtime does not say."""

    name: str
    op: str
    start_ms: float
    ms: float
    inputs: tuple[tuple[int, ...], ...] = ()
    shape: tuple[int, ...] = ()
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A call that was looked into, which slows it down."""

    ms: float
    nodes: tuple[NodeTime, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """`open(path, provider, threads)` loads a graph, or an engine where there is a `compiler`; `providers()` lists what
    runs one here. Both raise CodiError.

    `bind(runner, inputs)`: a call on tensors that are on the device already, outputs too. `trace(path, provider,
    threads, inputs, calls)`: node times of some calls. `open_shared`: as `open`, but weights stay where the file is
    mapped, once for all sessions and processes that read it. `open_within(path, provider, threads, bytes)`: as `open`,
    taking no more of the device's memory. None where the runtime has no such thing. `precision`: what it computes in,
    if that is not what the graph says. `lacks`: provider -> precisions that it has no kernels for.
    `lowering(provider)`: the lowering that it would rather open than the portable graph, if the bundle has it.
    """

    name: str
    providers: Callable[[], tuple[str, ...]]
    open: Callable[[Path, str, int | None], Runner]
    bind: Callable[[Runner, Arrays], Callable[[], object]] | None = None
    trace: Callable[[Path, str, int | None, Arrays, int], list[TracedCall]] | None = None
    compiler: Compiler | None = None
    precision: Precision | None = None
    lacks: dict[str, tuple[Precision, ...]] = field(default_factory=dict)
    open_shared: Callable[[Path, str, int | None], Runner] | None = None
    lowering: Callable[[str], str] = lambda provider: PORTABLE
    open_within: Callable[[Path, str, int | None, int], Runner] | None = None
