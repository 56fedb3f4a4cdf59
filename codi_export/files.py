"""Files that are whole or absent: atomic writes, hashes, paths that stay inside. Standard library only."""

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from codi_export.errors import CodiError, ErrorCode

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


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one move: a reader sees the old file or the new one. Raises CodiError (write-failed)."""
    part = path.with_name(f".codi-{secrets.token_hex(4)}.part")  # same folder, so that the move is a rename
    try:
        with writing(path):
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


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
