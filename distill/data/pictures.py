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
    """One training picture. `name` is stable: splits are made from it."""

    name: str
    pixels: Pixels
    caption: str


def load(data: Path, pattern: str, exclude: Sequence[str] = ()) -> list[Picture]:
    """Every picture that `pattern` names under `data`: a folder of images, or tar shards.

    Names that match a glob of `exclude` are left out. A picture that cannot be read is counted and named, not fatal;
    raises CodiError (bad-data) if nothing is left.
    """
    sources = sorted(data.glob(pattern))
    pictures, unreadable = [], []
    for source in sources:
        for name, content, caption in _members(source):
            if any(fnmatch(name, glob) for glob in exclude):
                continue
            try:
                pictures.append(Picture(name, _decode(content), caption))
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


def _members(source: Path) -> Iterator[tuple[str, bytes, str]]:
    return _folder(source) if source.is_dir() else _shard(source)


def _folder(folder: Path) -> Iterator[tuple[str, bytes, str]]:
    listing = folder / "captions.jsonl"
    lines = listing.read_text().splitlines() if listing.exists() else []
    captions = {row["file"]: row["caption"] for row in map(json.loads, lines)}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES:
            yield file.name, file.read_bytes(), captions.get(file.name, "")


def _shard(shard: Path) -> Iterator[tuple[str, bytes, str]]:
    images: dict[str, bytes] = {}
    with tarfile.open(shard) as archive:
        for member in archive:
            key, _, kind = member.name.partition(".")
            content = archive.extractfile(member)
            if content is None:
                continue
            if kind == "image.webp":
                images[key] = content.read()
            elif kind == "json":
                yield f"{shard.stem}/{key}", images.pop(key), json.load(content)["caption"]


def _decode(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))
