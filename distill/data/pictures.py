"""Pictures with captions, from a folder of images or from WebDataset tar shards, kept in memory as uint8."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from codi_export.errors import CodiError, ErrorCode

Pixels = npt.NDArray[np.uint8]  # [H, W, 3], RGB

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One training picture. `name` is stable: splits are made from it. `condition` is the view that the data brings
    with it, of the same size: a depth map, the picture before an edit."""

    name: str
    pixels: Pixels
    caption: str
    condition: Pixels | None = None


@dataclass(frozen=True, slots=True)
class Members:
    """Which member of a sample is what: `key.image.webp` is its "image". Without `condition` the data brings none."""

    image: str = "image"
    condition: str = ""
    caption: str = "caption"


USUAL = Members()


def load(data: Path, pattern: str, exclude: Sequence[str] = (), members: Members = USUAL) -> list[Picture]:
    """Every picture that `pattern` names under `data`: a folder of images, or tar shards. No pattern, no pictures.

    Names that match a glob of `exclude` are left out. A picture that cannot be read is counted and named, not fatal;
    raises CodiError (bad-data) if nothing is left.
    """
    if not pattern:
        return []
    pictures, unreadable = [], []
    for source in sorted(data.glob(pattern)):
        for name, (image, *condition), caption in _samples(source, members):
            if any(fnmatch(name, glob) for glob in exclude):
                continue
            try:
                pictures.append(Picture(name, _decode(image), caption, *map(_decode, condition)))
            except OSError as error:
                unreadable.append(f"{name} ({error})")
    if unreadable:
        print(f"{len(unreadable)} of {len(unreadable) + len(pictures)} pictures were skipped: {', '.join(unreadable)}")
    if not pictures:
        raise CodiError(
            ErrorCode.BAD_DATA,
            f"no readable picture in {data / pattern}",
            "give --data the folder that the config's patterns start from",
        )
    return pictures


def split(pictures: list[Picture], held_out: int) -> tuple[list[Picture], list[Picture]]:
    """(train, validation): the `held_out` pictures whose names hash lowest are kept for model selection."""
    ordered = sorted(pictures, key=lambda picture: hashlib.sha256(picture.name.encode()).digest())
    return ordered[held_out:], ordered[:held_out]


Sample = tuple[str, list[bytes], str]  # name, image and condition as files, caption


def _samples(source: Path, members: Members) -> Iterator[Sample]:
    return _folder(source) if source.is_dir() else _shard(source, members)


def _folder(folder: Path) -> Iterator[Sample]:
    listing = folder / "captions.jsonl"
    lines = listing.read_text().splitlines() if listing.exists() else []
    captions = {row["file"]: row["caption"] for row in map(json.loads, lines)}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES:
            yield file.name, [file.read_bytes()], captions.get(file.name, "")


def _shard(shard: Path, members: Members) -> Iterator[Sample]:
    wanted = [name for name in (members.image, members.condition) if name]
    files: dict[str, bytes] = {}
    with tarfile.open(shard) as archive:
        for member in archive:
            key, _, kind = member.name.partition(".")
            content = archive.extractfile(member)
            if content is None:
                continue
            if kind == "json":
                yield f"{shard.stem}/{key}", [files[name] for name in wanted], json.load(content)[members.caption]
                files.clear()
            else:
                files[kind.partition(".")[0]] = content.read()


def _decode(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))
