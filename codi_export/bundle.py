"""A bundle: a folder that is complete when, and only when, it holds a manifest. Read, write and check one."""

import json
from pathlib import Path
from typing import Any, Literal

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json, to_json
from codi_export.spec import SCHEMA_VERSION, FileEntry, Manifest

MANIFEST = "codi.json"
MARKER = ".codi-build.json"  # a build was begun here

How = Literal["hash", "size"]


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


def in_the_making(out: Path) -> Path:
    """The folder that a build of `out` fills (`staging`): a hidden sibling."""
    return out.parent / f".{out.name}.building"


def refuse_pickles(folder: Path) -> None:
    """A pickle runs code when it is read, so a bundle that holds one is refused (bad-bundle)."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in files.PICKLES:
            raise CodiError(
                ErrorCode.BAD_BUNDLE, f"{path} is a pickle file", "remove it; weights are safetensors files"
            )


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
    used |= {manifest.text_encoder, manifest.tokenizer, manifest.tokenizer_2}
    used -= {""}
    for path in sorted(listed | used):
        files.inside(folder, path)
    for path in sorted(used - listed):
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{folder / MANIFEST}: {path} has no hash", "build the bundle again")


def _not_a_bundle(folder: Path) -> CodiError:
    if not folder.exists():
        code, message = ErrorCode.MISSING_FILE, f"no bundle at {folder}"
        unfinished = in_the_making(folder.resolve()).exists()
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
