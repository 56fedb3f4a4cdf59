"""Pictures in a folder: rows that name them, subfolders of pairs, or plain files."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .decode import Unusable
from .samples import SUFFIXES, Reading, Sample, first, sample

METADATA, CAPTIONS = "metadata.jsonl", "captions.jsonl"
FILE_KEYS, TEXT_KEY, CONDITION_KEY = ("file_name", "file"), "text", "condition"  # besides the names of `Reading`


def find(folder: Path, reading: Reading) -> Iterator[Sample]:
    """The samples of the first layout that the folder has: `metadata.jsonl`; subfolders, one for each part; plain
    pictures, captions in `captions.jsonl` or in a text file beside each."""
    if (folder / METADATA).exists():
        return _listed(folder, reading)
    if (folder / reading.image).is_dir():
        return _paired(folder, reading)
    return _plain(folder, reading)


def _listed(folder: Path, reading: Reading) -> Iterator[Sample]:
    for line, row in _rows(folder / METADATA):
        name = first(row, reading.image, *FILE_KEYS)
        if not name:
            yield Sample(line, fault=Unusable("no row with a file_name"))
            continue
        condition = first(row, reading.condition, CONDITION_KEY)
        try:
            files = _inside(folder, name), _inside(folder, condition)
            yield sample(name, *files, first(row, reading.caption, TEXT_KEY), reading)
        except Unusable as fault:
            yield Sample(name, fault=fault)


def _paired(folder: Path, reading: Reading) -> Iterator[Sample]:
    conditions = {file.stem: file for file in _pictures(folder / reading.condition)} if reading.condition else {}
    for file in _pictures(folder / reading.image):
        caption = _text(folder / reading.caption, file) or _text(file.parent, file)
        yield sample(file.name, file, conditions.pop(file.stem, None), caption, reading)
    for file in conditions.values():
        yield sample(f"{reading.condition}/{file.name}", None, file, "", reading)


def _plain(folder: Path, reading: Reading) -> Iterator[Sample]:
    captions = {}
    for line, row in _rows(folder / CAPTIONS):
        if name := first(row, *FILE_KEYS):
            captions[name] = first(row, reading.caption, "caption", TEXT_KEY)
        else:
            yield Sample(line, fault=Unusable("no row with a file"))
    for file in _pictures(folder):
        yield sample(file.name, file, None, captions.get(file.name) or _text(folder, file), reading)


def _pictures(folder: Path) -> list[Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES)


def _rows(listing: Path) -> Iterator[tuple[str, Any]]:
    """(what to call the row, the row); None for what is no JSON."""
    text = listing.read_text("utf-8", "replace") if listing.exists() else ""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{listing.name}:{number}", json.loads(line)
            except ValueError:
                yield f"{listing.name}:{number}", None


def _inside(folder: Path, name: str) -> Path | None:
    """The file that a row names, if it exists. Links are followed: who made the folder made them."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise Unusable("named outside the folder", name)
    return folder / path if name and (folder / path).is_file() else None


def _text(folder: Path, picture: Path) -> str:
    file = folder / f"{picture.stem}.txt"
    return file.read_text("utf-8", "replace").strip() if file.is_file() else ""
