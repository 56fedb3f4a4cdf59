"""Pictures with captions, from folders or from WebDataset tar shards; uint8 in memory, or decoded as they are drawn."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from codi_export.errors import CodiError, ErrorCode

from . import folders, shards
from .decode import Pixels, Unusable, decode, extent
from .report import Report, say, shortened
from .samples import PLAIN, SUFFIXES, File, Reading, Sample, reading

__all__ = ["Picture", "Pixels", "Reading", "draw", "load", "reading", "split", "to_validate"]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One training picture. `name` is stable: splits are made from it. Its views, of one size, are the picture and, if
    the data brings one, its condition: a depth map, the picture before an edit."""

    name: str
    caption: str
    views: tuple[Pixels | File, ...]
    report: Report

    @property
    def pixels(self) -> Pixels:
        """[H, W, 3]; decoded anew each time if it is kept on disk. Raises Unusable."""
        return _pixels(self.views[0])

    @property
    def condition(self) -> Pixels | None:
        """[H, W, 3] or None, likewise."""
        return _pixels(self.views[1]) if len(self.views) > 1 else None

    def decoded(self) -> "Picture":
        """The same with its views in memory. Raises Unusable."""
        in_memory = all(isinstance(view, np.ndarray) for view in self.views)
        return self if in_memory else replace(self, views=tuple(map(_pixels, self.views)))


def load(data: Path, pattern: str, reading: Reading = PLAIN) -> list[Picture]:
    """Every picture that `pattern` names under `data`: folders (`folders.find`), or tar shards (`shards.find`). No
    pattern, no pictures.

    What cannot be used is counted and named on stderr, not fatal; raises CodiError (bad-data) if nothing is left.
    """
    if not pattern:
        return []
    report = Report(str(data / pattern))
    found = (sample for source in _sources(data, pattern) for sample in _find(source, reading))
    wanted = (sample for sample in found if not any(fnmatch(sample.name, name) for name in reading.exclude))
    pictures = [picture for sample in wanted if (picture := _picture(sample, reading, report))]
    if not pictures:
        raise _nothing(report, reading)
    if report.count:
        total = report.count + len(pictures)
        say("\n  ".join([f"{report.source}: {report.count} of {total} pictures were skipped:", *report.lines()]))
    bare = [picture.name for picture in pictures if not picture.caption]
    if bare and (len(bare) < len(pictures) or reading.caption != PLAIN.caption):
        say(f"{report.source}: {len(bare)} of {len(pictures)} have no {reading.caption}: {shortened(bare)}")
    return pictures


def split(pictures: list[Picture], held_out: int) -> tuple[list[Picture], list[Picture]]:
    """(train, validation): the `held_out` pictures whose names hash lowest are kept for model selection."""
    ordered = sorted(pictures, key=lambda picture: hashlib.sha256(picture.name.encode()).digest())
    return ordered[held_out:], ordered[:held_out]


def to_validate(held_out: list[Picture], side: int) -> list[Picture]:
    """Those that hold `side` x `side` pixels, decoded. Raises CodiError (bad-data) if there are none."""
    kept = []
    for picture in held_out:
        try:
            decoded = picture.decoded()
            if min(decoded.pixels.shape[:2]) < side:
                raise Unusable(f"smaller than {side} pixels on a side, and held out to validate on")
            kept.append(decoded)
        except Unusable as fault:
            picture.report.lose(picture.name, fault)
    if not kept:
        raise CodiError(
            ErrorCode.BAD_DATA,
            f"none of the {len(held_out)} held-out pictures can be validated on: expected {side} x {side} pixels",
            "lower [data] validation_crop, or hold more out: held_out_photos, held_out_scenes",
        )
    return kept


def draw(pool: Sequence[Picture], index: int) -> Picture:
    """The picture at `index`, decoded. In place of one that has become unreadable comes the next, whoever asks.

    Raises CodiError (bad-data) if no picture of the pool can be read.
    """
    for place in range(index, index + len(pool)):
        picture = pool[place % len(pool)]
        try:
            return picture.decoded()
        except Unusable as fault:
            picture.report.lose(picture.name, fault)
    raise CodiError(ErrorCode.BAD_DATA, "no picture can be read any more", "see the warnings for each one's reason")


def _sources(data: Path, pattern: str) -> list[Path]:
    here = [data] if data.is_dir() else []  # "." is no pattern to pathlib
    sources = here if pattern == "." else sorted(data.glob(pattern))
    if not sources:
        missing = f"nothing is called {data / pattern}" if here else f"no such folder: {data}"
        if "://" in pattern:
            missing = f"'{pattern}': addresses are streamed in `codi-export distill` alone, as http, https or file"
        raise CodiError(
            ErrorCode.BAD_DATA, missing, "give --data the folder that the config's patterns (photos, scenes) start from"
        )
    return sources


def _find(source: Path, reading: Reading) -> Iterator[Sample]:
    return folders.find(source, reading) if source.is_dir() else shards.find(source, reading)


def _picture(sample: Sample, reading: Reading, report: Report) -> Picture | None:
    """The picture of a sample that can be used; None, and a line in the report, for another."""
    try:
        if sample.fault:
            raise sample.fault
        views = tuple(map(_pixels, sample.files)) if reading.cache == "memory" else sample.files
        _check([_extent(view) for view in views], reading)
    except Unusable as fault:
        report.skip(sample.name, fault)
        return None
    return Picture(sample.name, sample.caption, views, report)


def _check(extents: list[tuple[int, int]], reading: Reading) -> None:
    image, *conditions = extents
    if any(condition != image for condition in conditions):
        detail = " and ".join(f"{height} x {width}" for height, width in extents)
        raise Unusable(f"with {reading.image} and {reading.condition} of different sizes", detail)
    if min(image) < reading.smallest:
        raise Unusable(f"smaller than {reading.smallest} pixels on a side", f"{image[0]} x {image[1]}")


def _extent(view: Pixels | File) -> tuple[int, int]:
    if isinstance(view, np.ndarray):
        return view.shape[0], view.shape[1]
    try:
        with view.open("rb") as stream:
            return extent(stream)
    except OSError as error:
        raise Unusable("unreadable", str(error)) from error


def _pixels(view: Pixels | File) -> Pixels:
    if isinstance(view, np.ndarray):
        return view
    try:
        content = view.read_bytes()
    except OSError as error:
        raise Unusable("unreadable", str(error)) from error
    return decode(content)


def _nothing(report: Report, reading: Reading) -> CodiError:
    members = " and ".join(name for name in (reading.image, reading.condition) if name)
    found = f"{report.count} were skipped: {'; '.join(report.lines())}" if report.count else "it is empty"
    return CodiError(
        ErrorCode.BAD_DATA,
        f"no usable picture in {report.source}; {found}",
        f"looked for: {', '.join(SUFFIXES)} in a folder, with {members} in {folders.METADATA} or in subfolders, or as "
        "members of .tar shards (distill/README.md, Your own data)",
    )
