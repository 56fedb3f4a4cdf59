"""A bundle in the making: a hidden folder beside its place, which it takes in one move when it is complete."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from codi_export import files
from codi_export.bundle import MANIFEST, MARKER, in_the_making, read_manifest
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import Manifest

# All that a bundle's own folder may hold.
CONTENTS = {MANIFEST, MARKER, "graphs", "golden", "engines", "tokenizer.json", "tokenizer_2.json"}

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextlib.contextmanager
def building(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder to fill; it becomes `out` when the block ends with a manifest written, else it vanishes. It has
    what a finished bundle at `out` has, but for the manifest, unless that is to be overwritten.

    The folder is a hidden sibling of `out`, so a bundle that is being replaced or added to stays whole until its
    successor is, and what a killed build left is swept away by the next one. Raises CodiError (output-exists, also if
    another process is building there; write-failed).
    """
    out = out.resolve()
    folder = in_the_making(out)
    with _begin(out, overwrite):
        try:
            with _disk_errors(out):
                yield folder
            with files.writing(out):
                _publish(folder, out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def prepare_output(out: Path, overwrite: bool = False, graphs: Collection[str] = ()) -> Manifest | None:
    """May a build write `graphs` to `out`? The manifest of the bundle that they are added to, if there is one.

    Raises CodiError (output-exists) if not. Only bundles are ever replaced or added to.
    """
    if files.is_free(out) or _is_unfinished(out):
        return None
    if not _is_ours(out):
        raise CodiError(
            ErrorCode.OUTPUT_EXISTS,
            f"{out} exists and is not a bundle",
            "choose another -o; --overwrite replaces bundles only",
        )
    if overwrite:
        return None
    manifest = read_manifest(out)
    if there := [graph.name for graph in manifest.graphs if graph.name in graphs]:
        raise CodiError(
            ErrorCode.OUTPUT_EXISTS,
            f"{out} is a bundle that has {', '.join(there)} already",
            "choose other --steps or another --task to add to it, or --overwrite to replace it",
        )
    return manifest


@contextlib.contextmanager
def _begin(out: Path, overwrite: bool) -> Iterator[None]:
    """Make the folder to fill, locked for as long as it is filled."""
    folder, replaced = in_the_making(out), _replaced(out)
    with contextlib.ExitStack() as stack:
        with files.writing(out):
            if folder.is_dir():
                stack.enter_context(_locked(folder, out))
            if replaced.exists() and not out.exists():  # killed between the two moves of _publish
                replaced.rename(out)
            added_to = prepare_output(out, overwrite)
            for leftover in (folder, replaced):
                _sweep(leftover)
            folder.mkdir(parents=True)
            stack.enter_context(_locked(folder, out))
            (folder / MARKER).write_text(json.dumps({"output": out.name}) + "\n")
            if added_to:
                _copy_contents(out, folder)
        yield


@contextlib.contextmanager
def _locked(folder: Path, out: Path) -> Iterator[None]:
    """The system lets go of it when the process ends, however that happens."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CodiError(
                ErrorCode.OUTPUT_EXISTS, f"another build is writing {out}", "wait for it, or choose another -o"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _copy_contents(source: Path, target: Path) -> None:
    """Copied, not linked: what reads external tensors refuses files with several hard links."""
    for path in source.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name)
        elif path.name != MANIFEST:
            shutil.copy2(path, target)


def _publish(folder: Path, out: Path) -> None:
    if not (folder / MANIFEST).is_file():
        raise RuntimeError(f"the build of {out} ended without a manifest")
    replaced = _replaced(out)
    (folder / MARKER).unlink()
    if not files.is_free(out):
        out.rename(replaced)
    folder.replace(out)
    _sweep(replaced)


def _replaced(out: Path) -> Path:
    """Where the old bundle waits while the new one takes its place."""
    return out.parent / f".{out.name}.replaced"


def _sweep(folder: Path) -> None:
    if not files.is_free(folder) and not _is_ours(folder):
        raise CodiError(ErrorCode.OUTPUT_EXISTS, f"{folder} is in the way and is not a build's", "move it elsewhere")
    if folder.exists():
        shutil.rmtree(folder)


def _is_unfinished(folder: Path) -> bool:
    return _is_ours(folder) and not (folder / MANIFEST).exists()


def _is_ours(folder: Path) -> bool:
    """Made by a build and nothing else, so it may be deleted. A folder of photos with a stray codi.json is not."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = {path.name for path in folder.iterdir()}
    return bool(names & {MANIFEST, MARKER}) and names <= CONTENTS


@contextlib.contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Only errors that a full or read-only disk explains; any other OSError of a build is about what it reads."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        with files.writing(out):
            raise
