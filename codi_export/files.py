"""Files that are whole or absent: atomic writes, hashes, paths that stay inside. Standard library only."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from codi_export.errors import CodiError, ErrorCode

PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}  # suffixes of files that run code when they are read

_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EACCES: "choose a place where you may write",
    errno.EPERM: "choose a place where you may write",
    errno.EROFS: "choose a place where you may write",
    errno.ENOENT: "make its folder first",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """An OSError inside becomes CodiError (write-failed) that names `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = _HINTS.get(error.errno or 0, "")
        raise CodiError(ErrorCode.WRITE_FAILED, f"cannot write {path}: {reason}", hint) from error


def write(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Put `data`, whole or in blocks, at `path` in one move: a reader sees the old file or the new one.

    Raises CodiError (write-failed).
    """
    part = path.with_name(f".codi-{secrets.token_hex(4)}.part")  # same folder, so that the move is a rename
    try:
        with writing(path):
            with part.open("xb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def is_free(path: Path) -> bool:
    """Whether nothing is lost by writing there: nothing is at `path`, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def user_cache() -> Path:
    """`$CODI_CACHE`, or `codi-export` where the user's caches are."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CODI_CACHE") or Path(caches, "codi-export"))


def inside(folder: Path, relative: str) -> Path:
    """`folder/relative`, for paths that somebody else wrote. Raises CodiError (bad-bundle) if it leaves the folder."""
    pure = PurePosixPath(relative)
    plain = bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts and not set(relative) & set("\\:\0")
    if not plain or not (folder / pure).resolve().is_relative_to(folder.resolve()):
        raise CodiError(
            ErrorCode.BAD_BUNDLE,
            f"path {relative!r} leaves {folder}",
            "paths in a bundle are relative and stay inside it",
        )
    return folder / pure


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def layout(path: Path) -> str:
    """Hexadecimal SHA-256 of a safetensors file's header: equal for files that may stand in for each other."""
    return hashlib.sha256(_header(path)[8:]).hexdigest()


def header(path: Path) -> tuple[bytes, dict[str, Any]]:
    """The bytes before a safetensors file's data; and by tensor `dtype`, `shape`, `data_offsets`."""
    raw = _header(path)
    return raw, {name: entry for name, entry in json.loads(raw[8:]).items() if name != "__metadata__"}


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        length = file.read(8)
        whole = path.stat().st_size  # what a damaged file claims may be more
        return length + file.read(min(int.from_bytes(length, "little"), whole))
