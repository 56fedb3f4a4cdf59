"""The resumable state of a run: one file, replaced atomically, read without pickled code."""

import os
from pathlib import Path
from typing import Any

import torch

NAME = "state.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state`: tensors, numbers, strings, dicts of them. A kill at any moment leaves the old file or the new."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{NAME}.{os.getpid()}"
    torch.save(state, temporary)
    temporary.replace(folder / NAME)


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
