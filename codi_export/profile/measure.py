"""The measurement itself: open, warm up, time end to end and engine in turns, several runs of it; then frames of a
stream, if asked for. What runs and where time comes from are arguments, so all of it is tested without waiting.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from codi_export.latency import summarise
from codi_export.profile import statistics
from codi_export.profile.result import Run, Settings, Stream

MOST_WARMUP_CALLS = 30
MOST_WARMUP_S = 20.0  # of a run; what takes seconds a call is warm after a few

Progress = Callable[[int, int], None]  # iterations done, iterations in all


class Opened(Protocol):
    """A graph that is ready to run."""

    def end_to_end(self, seed: int) -> object:
        """uint8 pictures in host memory to uint8 pictures in host memory, with the noise of `seed`."""

    def engine(self) -> object:
        """The graph alone, on tensors that are in place."""


@dataclass(frozen=True, slots=True)
class Time:
    """Where time comes from, in seconds."""

    now: Callable[[], float] = time.perf_counter
    sleep: Callable[[float], object] = time.sleep


@dataclass(slots=True)
class Measured:
    """What there is when the measurement ends, however it ends."""

    runs: list[Run] = field(default_factory=list)
    stream: Stream | None = None
    interrupted: bool = False


def measure(
    open_: Callable[[], Opened], settings: Settings, clock: Time, progress: Progress = lambda done, total: None
) -> Measured:
    """Measure as `settings` say. Ctrl-C ends it, and what was measured is kept; other exceptions go through."""
    measured, start = Measured(), clock.now()
    opened: Opened | None = None
    try:
        for index in range(settings.runs):
            opened = None  # its memory goes before the next one's comes
            recording = Recording(clock, start)
            opened = recording.open(open_)
            try:
                recording.warm_up(opened, settings.seed)
                recording.iterate(opened, settings, index, progress)
            finally:
                measured.runs.append(recording.run())
        if settings.fps and opened:
            frames = Frames(clock, settings.fps)
            try:
                frames.run(opened, settings)
            finally:
                measured.stream = frames.stream()
    except KeyboardInterrupt:
        measured.interrupted = True
    return measured


@dataclass(slots=True)
class Recording:
    """One run in the making."""

    clock: Time
    zero: float
    cold_load_ms: float = 0.0
    first_ms: float | None = None
    stable: bool = False
    warmup: list[float] = field(default_factory=list)
    iterations: list[tuple[float, float, float]] = field(default_factory=list)  # start, end to end, engine

    def open(self, open_: Callable[[], Opened]) -> Opened:
        """Time the opening."""
        start = self.clock.now()
        opened = open_()
        self.cold_load_ms = (self.clock.now() - start) * 1000
        return opened

    def warm_up(self, opened: Opened, seed: int) -> None:
        """Call until the times settle, or `MOST_WARMUP_CALLS` or `MOST_WARMUP_S` are over. The first call is apart."""
        start = self.clock.now()
        self.first_ms = self._time(partial(opened.end_to_end, seed))
        while len(self.warmup) < MOST_WARMUP_CALLS and self.clock.now() - start < MOST_WARMUP_S:
            self.warmup.append(self._time(partial(opened.end_to_end, seed)))
            opened.engine()
            if statistics.settled(self.warmup):
                self.stable = True
                break

    def iterate(self, opened: Opened, settings: Settings, run: int, progress: Progress) -> None:
        """This run's share of the iterations, or of the duration. Which of the two goes first changes each time."""
        before = settings.iterations * run // settings.runs
        share = settings.iterations * (run + 1) // settings.runs - before
        most = None if settings.duration_s is None else settings.duration_s / settings.runs
        start = self.clock.now()
        for i in range(share):
            if most is not None and self.clock.now() - start >= most:
                break
            begun = self.clock.now() - self.zero
            calls: list[Callable[[], object]] = [partial(opened.end_to_end, settings.seed + before + i), opened.engine]
            turn = slice(None, None, 1 if i % 2 == 0 else -1)
            whole, engine = [self._time(call) for call in calls[turn]][turn]
            self.iterations.append((begun, whole, engine))
            progress(before + i + 1, settings.iterations)

    def run(self) -> Run:
        """What was recorded so far."""
        starts, whole, engine = (tuple(one[k] for one in self.iterations) for k in range(3))
        return Run(self.cold_load_ms, self.first_ms, tuple(self.warmup), self.stable, starts, whole, engine)

    def _time(self, call: Callable[[], object]) -> float:
        start = self.clock.now()
        call()
        return (self.clock.now() - start) * 1000


@dataclass(slots=True)
class Frames:
    """A camera's pictures, one every 1 / fps seconds; only the newest that has arrived is worked on."""

    clock: Time
    fps: float
    latencies: list[float] = field(default_factory=list)
    taken: int = -1  # the frame that was worked on last

    def run(self, opened: Opened, settings: Settings) -> None:
        """As many frames as iterations, or as arrive in the duration."""
        count = settings.iterations
        if settings.duration_s is not None:
            count = min(count, int(settings.duration_s * self.fps))
        start = self.clock.now()
        while self.taken < count - 1:
            newest = min(int((self.clock.now() - start) * self.fps + 1e-9), count - 1)
            if newest == self.taken:
                self.clock.sleep(max(0.0, start + (self.taken + 1) / self.fps - self.clock.now()))
                continue
            opened.end_to_end(settings.seed + newest)
            self.latencies.append((self.clock.now() - start - newest / self.fps) * 1000)
            self.taken = newest

    def stream(self) -> Stream:
        """What was recorded so far."""
        arrived, done = self.taken + 1, len(self.latencies)
        return Stream(self.fps, arrived, done, arrived - done, summarise(self.latencies) if done else None)
