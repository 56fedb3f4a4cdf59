"""The resumable state of a run: one file, replaced atomically, read without pickled code."""

import os
from pathlib import Path
from typing import Any

import torch

from codi_export.errors import CodiError, ErrorCode

NAME = "state.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state`: tensors, numbers, strings, dicts of them. A kill at any moment leaves the old file or the new.

    Raises CodiError (write-failed), the old file kept, when the disk will not take it.
    """
    temporary = folder / f".{NAME}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, temporary)
        temporary.replace(folder / NAME)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError of its own writer
        temporary.unlink(missing_ok=True)
        raise CodiError(
            ErrorCode.WRITE_FAILED,
            f"cannot write {folder / NAME}: {error}",
            "the state saved before is untouched; make room and run the command again",
        ) from error


def load(folder: Path) -> dict[str, Any] | None:
    """The last saved state, or None for a fresh run."""
    file = folder / NAME
    return torch.load(file, map_location="cpu", weights_only=True) if file.exists() else None


def settings(folder: Path) -> dict[str, Any]:
    """The settings that the last saved state was made with; empty without one. Reads no tensor."""
    file = folder / NAME
    if not file.exists():
        return {}
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return dict(state.get("settings", {}))
