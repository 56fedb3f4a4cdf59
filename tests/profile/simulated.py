"""A device that is nowhere: its clock moves by what its calls cost, and its sensors say what they are told to."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path

from codi_export.profile.measure import Time
from codi_export.profile.result import Reading


@dataclass
class Device:
    """Milliseconds: `load` to open; of `engine`'s calls the given ones, then the last again and again; end to end takes
    `copies` longer. `events`: what happens at the n-th call (from 0) of any kind, in place of it."""

    load: float = 500.0
    engine_ms: Iterable[float] = (10.0,)
    copies: float = 2.0
    events: dict[int, Callable[[], object]] = field(default_factory=dict)
    now_s: float = 1000.0
    calls: int = 0
    opened: int = 0
    seeds: list[int] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    costs: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        known = list(self.engine_ms)
        self.costs = chain(known, repeat(known[-1]))

    @property
    def time(self) -> Time:
        return Time(lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def open(self) -> "Device":
        self.opened += 1
        self.now_s += self.load / 1000
        return self

    def end_to_end(self, seed: int) -> None:
        self.seeds.append(seed)
        self._call("end_to_end", self.copies)

    def engine(self) -> None:
        self._call("engine", 0.0)

    def _call(self, kind: str, more: float) -> None:
        event = self.events.get(self.calls)
        self.calls += 1
        if event:
            event()
        self.order.append(kind)
        self.now_s += (next(self.costs) + more) / 1000


def interrupt() -> None:
    raise KeyboardInterrupt


def sensors(device: Device, *said: Reading) -> Callable[[], Reading]:
    """Reads one after the other, then the last again and again."""
    readings = chain(said, repeat(said[-1]))
    return lambda: next(readings)


def put(root: Path, files: dict[str, str]) -> None:
    """Make a file system that says what `files` say."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
