"""A registry is a folder: the modules of `codi_export.<kind>` are its entries.

An entry is a module with one upper-case constant, named after its kind. Names use dashes where file names use
underscores. Listing reads file names and imports nothing, so an absent optional package costs nothing.
"""

import importlib
from pathlib import Path
from typing import Any

from codi_export.errors import CodiError, ErrorCode

CONSTANTS = {"tasks": "TASK", "samplers": "SAMPLER", "backends": "BACKEND", "targets": "TARGET"}


def names(kind: str) -> list[str]:
    """All entries of a kind, sorted."""
    files = (Path(__file__).parent / kind).glob("*.py")
    return sorted(file.stem.replace("_", "-") for file in files if file.stem != "__init__")


def get(kind: str, name: str) -> Any:
    """The entry `name` of `kind`; raises CodiError (unknown-name) that lists what there is."""
    available = names(kind)
    if name not in available:
        raise CodiError(
            ErrorCode.UNKNOWN_NAME,
            f"unknown {kind.removesuffix('s')} '{name}'; available: {', '.join(available)}",
            f"`codi-export list {kind}` describes them",
        )
    module = importlib.import_module(f"codi_export.{kind}.{name.replace('-', '_')}")
    return getattr(module, CONSTANTS[kind])
