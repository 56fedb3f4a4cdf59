"""One `Backend` a file: a runtime that opens a graph. An absent runtime costs nothing until its backend is used."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]
Runner = Callable[[Arrays], dict[str, NDArray[Any]]]  # inputs by name -> outputs by name


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
    """`open(path, provider, threads)` loads a graph; `providers()` lists what runs one here. Both raise CodiError.

    `bind(runner, inputs)`: a call on tensors that are on the device already, outputs too. `trace(path, provider,
    threads, inputs, calls)`: node times of some calls. None where the runtime has no such thing.
    """

    name: str
    providers: Callable[[], tuple[str, ...]]
    open: Callable[[Path, str, int | None], Runner]
    bind: Callable[[Runner, Arrays], Callable[[], object]] | None = None
    trace: Callable[[Path, str, int | None, Arrays, int], list[TracedCall]] | None = None
