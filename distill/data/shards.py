"""Pictures in a WebDataset shard: a plain tar, in which files of one key stand together."""

import json
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from .decode import Unusable
from .samples import SUFFIXES, Reading, Sample, Slice, first, sample

KEY_AND_KIND = re.compile(r"(?:\./)?((?:.*/)?[^./]+)\.([^/]+)")  # the key ends at the file name's first dot

Member = tuple[str, str, Slice]  # key, kind, content


def find(shard: Path, reading: Reading) -> Iterator[Sample]:
    """The samples of a shard: `key.image.webp` or plain `key.webp`, `key.depth.png`, `key.json` or `key.txt`.

    A damaged shard gives what stands before the damage, and a fault that has its name.
    """
    members, damage = _index(shard)
    for key, group in groupby(members, key=lambda member: member[0]):
        yield _sample(f"{shard.stem}/{key}", {kind: content for _, kind, content in group}, reading)
    if damage:
        yield Sample(shard.name, fault=Unusable("no plain tar, or damaged", damage))


def _sample(name: str, parts: dict[str, Slice], reading: Reading) -> Sample:
    image = _part(parts, reading.image) or next((parts[s[1:]] for s in SUFFIXES if s[1:] in parts), None)
    try:
        return sample(name, image, _part(parts, reading.condition), _caption(parts, reading), reading)
    except ValueError as error:
        return Sample(name, fault=Unusable("with a bad .json", str(error)))


def _part(parts: dict[str, Slice], member: str) -> Slice | None:
    return next((parts[member + suffix] for suffix in SUFFIXES if member + suffix in parts), None)


def _caption(parts: dict[str, Slice], reading: Reading) -> str:
    row = json.loads(parts["json"].read_bytes()) if "json" in parts else None
    text = parts.get(f"{reading.caption}.txt") or parts.get("txt")
    return first(row, reading.caption, "text") or (text.read_bytes().decode(errors="replace").strip() if text else "")


def _index(shard: Path) -> tuple[list[Member], str]:
    """The whole members of a shard, and what is wrong with the rest."""
    members: list[Member] = []
    size = shard.stat().st_size
    try:
        with tarfile.open(shard, "r:") as archive, shard.open("rb") as content:
            for info in archive:
                name = KEY_AND_KIND.fullmatch(info.name)
                if name and info.isreg() and info.offset_data + info.size <= size:
                    members.append((name[1], name[2].lower(), Slice(shard, info.offset_data, info.size)))
            content.seek(archive.offset)  # to tarfile a header that it cannot read is an end like any other
            ended = content.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    except (tarfile.TarError, OSError) as error:
        return members, f"{error} after {len(members)} files"
    return members, "" if ended else f"neither a file nor an end mark after {len(members)} files"
