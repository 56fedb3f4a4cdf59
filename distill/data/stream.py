"""Shards on a server: fetched as a run goes through them, a few kept at a time.

What is at hand at a step follows from the step alone, so a resumed run draws the batches of an unbroken one.
"""

import re
import shutil
import tempfile
import urllib.request
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import overload

import numpy as np

from codi_export.errors import CodiError, ErrorCode

from ..config import DataConfig
from . import pictures
from .pictures import Picture, Reading
from .report import say

ADDRESS = re.compile(r"(https?|file)://.+")
BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
ATTEMPTS = 3
TIMEOUT = 60  # seconds without a byte

Load = Callable[[Path, str, Reading], list[Picture]]


def is_address(pattern: str) -> bool:
    """Whether a pattern of [data] names shards on a server, not files under --data."""
    return ADDRESS.fullmatch(pattern) is not None


def addresses(pattern: str) -> list[str]:
    """`…/train-{0000..0041}.tar`, in WebDataset's notation, as 42 addresses; one without braces as itself."""
    braces = BRACES.search(pattern)
    if not braces:
        return [pattern]
    first, last = braces.groups()
    numbers = [f"{number:0{len(first)}}" for number in range(int(first), int(last) + 1)]
    if not numbers:
        raise CodiError(ErrorCode.BAD_OPTION, f"{pattern}: {braces[0]} names no shard; expected {{first..last}}")
    return [pattern.replace(braces[0], number, 1) for number in numbers]


def pool(
    folder: Path, pattern: str, data: DataConfig, held_out: int, load: Load = pictures.load
) -> tuple[Sequence[Picture], list[Picture]]:
    """(to train on, held out): what `load` finds under `folder`, split; or for an address a `Stream`."""
    if not is_address(pattern):
        return pictures.split(load(folder, pattern, pictures.reading(data)), held_out)
    stream = Stream(pattern, pictures.reading(data), data.stream_shards, data.stream_steps, held_out)
    return stream, stream.held_out


class Stream(Sequence[Picture]):
    """The pictures at hand: those of `shards` shards, of which the oldest makes way for the next after every `steps`
    training steps. Their order is a fixed shuffle, repeated for as long as a run goes on.

    `held_out` pictures of the first shard are kept apart. A shard that cannot be fetched or has nothing to use is named
    on stderr and counts as empty. Raises CodiError (bad-data) if that is the first one.
    """

    def __init__(self, pattern: str, reading: Reading, shards: int, steps: int, held_out: int) -> None:
        names = addresses(pattern)
        self.reading, self.shards, self.steps, self.first = reading, min(shards, len(names)), steps, names[0]
        self.order = [names[index] for index in np.random.default_rng(0).permutation(len(names))]
        self.folder = Path(tempfile.mkdtemp(prefix="codi-shards-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.thread = ThreadPoolExecutor(1)  # one download at a time, while training goes on
        self.fetched = {self.first: self.thread.submit(self._fetch, self.first)}
        _, self.held_out = pictures.split(self.fetched[self.first].result(), held_out)
        self.apart = {picture.name for picture in self.held_out}
        self.at_hand: list[Picture] = []
        self.seek(0)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | Sequence[Picture]:
        return self.at_hand[index]

    def __len__(self) -> int:
        return len(self.at_hand)

    def seek(self, step: int) -> None:
        """Have at hand what belongs to a training step; waits for what has not come yet, and asks for what is next."""
        turn = step // self.steps
        window = [self.order[(turn + place) % len(self.order)] for place in range(self.shards)]
        wanted = [*window, self.order[(turn + self.shards) % len(self.order)]]
        for gone in self.fetched.keys() - {*wanted, self.first}:  # what is held out lies in the first
            del self.fetched[gone]
            self._file(gone).unlink(missing_ok=True)
        for name in wanted:
            if name not in self.fetched:
                self.fetched[name] = self.thread.submit(self._fetch_or_tell, name)
        found = chain.from_iterable(self.fetched[name].result() for name in window)
        self.at_hand = [picture for picture in found if picture.name not in self.apart]

    def _fetch_or_tell(self, address: str) -> list[Picture]:
        try:
            return self._fetch(address)
        except CodiError as error:
            say(f"{address} is left out: {error}")
            return []

    def _fetch(self, address: str) -> list[Picture]:
        shard = self._file(address)
        _download(address, shard)
        return pictures.load(shard.parent, shard.name, self.reading)

    def _file(self, address: str) -> Path:
        return self.folder / address.rsplit("/", 1)[-1]


def _download(address: str, file: Path) -> None:
    """Raises CodiError (bad-data) after ATTEMPTS failures."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT) as source, file.open("wb") as target:
                shutil.copyfileobj(source, target)
                expected = int(source.headers["Content-Length"] or target.tell())
                if target.tell() != expected:  # a connection that breaks reads like one that ends
                    raise OSError(f"{target.tell()} of {expected} bytes came")
                return
        except OSError as error:  # URLError, HTTPError and timeouts are OSErrors
            if attempt == ATTEMPTS:
                raise CodiError(ErrorCode.BAD_DATA, f"cannot fetch {address} ({ATTEMPTS} attempts): {error}") from error
