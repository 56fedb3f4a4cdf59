"""What folders and shards hold, before anything is decoded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from PIL.ContainerIO import ContainerIO

from ..config import DataConfig
from .decode import Unusable

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Reading:
    """How pictures are read: names that match a glob of `exclude` are left out, and those with less than `smallest`
    pixels on a side.

    `image`, `condition` and `caption` are what the parts of a sample are called: members of a shard, subfolders, keys
    of a row. Without `condition` the data brings none. With `cache = "disk"` a picture is decoded when it is drawn.
    """

    exclude: tuple[str, ...] = ()
    image: str = "image"
    condition: str = ""
    caption: str = "caption"
    smallest: int = 1
    cache: Literal["memory", "disk"] = "memory"


PLAIN = Reading()


def reading(data: DataConfig) -> Reading:
    """As a run's config says. Too small is what would have to be enlarged even for the smallest crop at full size."""
    smallest = -int(-min(data.crops) // data.scale[1])
    return Reading(data.exclude, data.image, data.condition, data.caption, smallest, data.cache)


@dataclass(frozen=True, slots=True)
class Slice:
    """`size` bytes of a shard from `offset` on.

    The shard is opened for each reading: a memory map would save little, would hold a file descriptor for every shard,
    and would end the process if the file were cut short.
    """

    shard: Path
    offset: int
    size: int

    def open(self, mode: Literal["rb"] = "rb") -> IO[bytes]:
        """As a file of its own."""
        return ContainerIO(self.shard.open(mode), self.offset, self.size)

    def read_bytes(self) -> bytes:
        """Its content; less of it if the shard has become shorter."""
        with self.open() as stream:
            return stream.read()


File = Path | Slice


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture by its files: the image, then the condition if one is wanted. `name` is stable: splits are made from
    it. With a `fault` it cannot be used."""

    name: str
    files: tuple[File, ...] = ()
    caption: str = ""
    fault: Unusable | None = None


def sample(name: str, image: File | None, condition: File | None, caption: str, reading: Reading) -> Sample:
    """The sample of these parts, or its fault: what it lacks."""
    if image is None:
        return Sample(name, fault=Unusable(f"without {reading.image}"))
    if not reading.condition:
        return Sample(name, (image,), caption)
    if condition is None:
        return Sample(name, fault=Unusable(f"without {reading.condition}"))
    return Sample(name, (image, condition), caption)


def first(row: Any, *keys: str) -> str:
    """The first text among these entries of a row of JSON; empty without one."""
    texts: Iterable[Any] = (row.get(key) for key in keys) if isinstance(row, dict) else ()
    return next((text for text in texts if isinstance(text, str)), "")
