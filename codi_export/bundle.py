"""A bundle: a folder that is complete when, and only when, it holds a manifest. Read, write, check and make one."""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Literal

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json, to_json
from codi_export.spec import SCHEMA_VERSION, FileEntry, Manifest

MANIFEST = "codi.json"
MARKER = ".codi-build.json"  # a build was begun here
CONTENTS = {
    MANIFEST,
    MARKER,
    "graphs",
    "golden",
    "engines",
    "tokenizer.json",
}  # everything that a bundle's own folder may hold

How = Literal["hash", "size"]

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished bundle. Raises CodiError (missing-file, bad-bundle, newer-schema)."""
    path = folder / MANIFEST
    if not path.is_file():
        raise _not_a_bundle(folder)
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{path} is not a manifest: {error}", "build the bundle again") from error
    _check_schema(path, value)
    manifest = from_json(Manifest, value)
    _check_paths(folder, manifest)
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `codi.json` in one move; done last, it makes the folder a bundle. Raises CodiError (write-failed)."""
    text = json.dumps(to_json(manifest), indent=1, allow_nan=False)
    files.write(folder / MANIFEST, text.encode() + b"\n")


def file_entry(folder: Path, relative: str) -> FileEntry:
    """Size and SHA-256 of `folder/relative` as it is now."""
    path = files.inside(folder, relative)
    layout = files.layout(path) if path.suffix == ".safetensors" else ""
    return FileEntry(relative, path.stat().st_size, files.sha256(path), layout)


def check(folder: Path, manifest: Manifest, how: How = "hash") -> None:
    """Every listed file is there, unchanged, and none is a pickle. Raises CodiError (hash-mismatch, bad-bundle)."""
    refuse_pickles(folder)
    for entry in manifest.files:
        check_file(folder, entry, how)


def check_file(folder: Path, entry: FileEntry, how: How = "hash") -> None:
    """One file against its entry: presence, size, and its SHA-256; if `how` is "size", its layout in place of that."""
    path = files.inside(folder, entry.path)
    if not path.is_file():
        raise _changed(path, "is missing")
    size = path.stat().st_size
    if size != entry.bytes:
        raise _changed(path, f"has {size} bytes, expected {entry.bytes}")
    if how == "hash" and files.sha256(path) != entry.sha256:
        raise _changed(path, "has changed since it was built (SHA-256 differs)")
    if how == "size" and entry.layout and files.layout(path) != entry.layout:
        raise _changed(path, "has another layout than the graphs read: its tensors lie elsewhere")


def unlisted(folder: Path, manifest: Manifest) -> list[str]:
    """Files under `graphs/` that the manifest does not know."""
    listed = {entry.path for entry in manifest.files}
    found = (path.relative_to(folder).as_posix() for path in (folder / "graphs").rglob("*") if path.is_file())
    return sorted(set(found) - listed)


def refuse_pickles(folder: Path) -> None:
    """A pickle runs code when it is read, so a bundle that holds one is refused (bad-bundle)."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in files.PICKLES:
            raise CodiError(
                ErrorCode.BAD_BUNDLE, f"{path} is a pickle file", "remove it; weights are safetensors files"
            )


@contextlib.contextmanager
def building(out: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder to fill; it becomes `out` when the block ends with a manifest written, else it vanishes. It has
    what a finished bundle at `out` has, but for the manifest, unless that is to be overwritten.

    The folder is a hidden sibling of `out`, so a bundle that is being replaced or added to stays whole until its
    successor is, and what a killed build left is swept away by the next one. Raises CodiError (output-exists, also if
    another process is building there; write-failed).
    """
    out = out.resolve()
    folder, _ = _siblings(out)
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
    if not out.exists() or _is_empty(out) or _is_unfinished(out):
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
    folder, replaced = _siblings(out)
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
    _, replaced = _siblings(out)
    (folder / MARKER).unlink()
    if out.exists() and not _is_empty(out):
        out.rename(replaced)
    folder.replace(out)
    _sweep(replaced)


def _siblings(out: Path) -> tuple[Path, Path]:
    """The folder that is being filled, and where the old bundle waits while the new one takes its place."""
    return out.parent / f".{out.name}.building", out.parent / f".{out.name}.replaced"


def _sweep(folder: Path) -> None:
    if not folder.exists():
        return
    if not _is_empty(folder) and not _is_ours(folder):
        raise CodiError(ErrorCode.OUTPUT_EXISTS, f"{folder} is in the way and is not a build's", "move it elsewhere")
    shutil.rmtree(folder)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


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


def _check_schema(path: Path, value: Any) -> None:
    if not isinstance(value, dict):
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{path} is not a manifest: expected an object", "build the bundle again")
    schema = value.get("schema")
    if type(schema) is not int:
        raise CodiError(
            ErrorCode.BAD_BUNDLE, f"{path}: schema is {schema!r}, expected a number", "build the bundle again"
        )
    if schema > SCHEMA_VERSION:
        raise CodiError(
            ErrorCode.NEWER_SCHEMA,
            f"{path} has schema {schema}; this codi-export reads up to {SCHEMA_VERSION}",
            "update codi-export: pip install -U codi-export",
        )


def _check_paths(folder: Path, manifest: Manifest) -> None:
    listed = {entry.path for entry in manifest.files}
    used = {path for one in manifest.graphs for path in (one.path, one.golden, one.cost, *one.lowerings.values())}
    used = {path for path in (*used, manifest.text_encoder, manifest.tokenizer) if path}
    for path in sorted(listed | used):
        files.inside(folder, path)
    for path in sorted(used - listed):
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{folder / MANIFEST}: {path} has no hash", "build the bundle again")


def _not_a_bundle(folder: Path) -> CodiError:
    if not folder.exists():
        code, message = ErrorCode.MISSING_FILE, f"no bundle at {folder}"
        unfinished = _siblings(folder.resolve())[0].exists()
    else:
        code, message = ErrorCode.BAD_BUNDLE, f"{folder} is not a bundle: it holds no {MANIFEST}"
        unfinished = (folder / MARKER).exists()
    if unfinished:
        return CodiError(
            ErrorCode.BAD_BUNDLE, f"{folder} is an unfinished build", "run the same `codi-export build` again"
        )
    return CodiError(code, message, "make one: codi-export build --task sr --steps 2 -o sr-2step")


def _changed(path: Path, what: str) -> CodiError:
    return CodiError(
        ErrorCode.HASH_MISMATCH,
        f"{path} {what}",
        "build the bundle again, or copy it anew",
    )
