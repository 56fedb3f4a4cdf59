"""Traced pieces, kept between builds: another number of steps, or another adapter of the same shape, traces nothing.

A piece is kept without its weights, which are read from the model that is being built; so it is small, and what it was
traced from is told by its structure alone (`model.structure`). What comes out of the cache is compared with torch as
anything else is.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

import codi_export
from codi_export import files

TOOLS = ("torch", "diffusers", "onnx-ir", "onnxscript")
KEPT = 100  # pieces; the least recently used ones go
NAMED, LONGEST = 3, 60  # differences in an explanation, and characters of a value

Weights = Mapping[str, ir.TensorProtocol]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Whether a piece was there, and if not, why."""

    piece: str
    reused: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of pieces, or None to keep nothing. `lookups`: all that was asked for, in order; `task`: for whom."""

    folder: Path | None
    task: str = ""
    lookups: list[Lookup] = field(default_factory=list)

    def load(self, name: str, fields: Mapping[str, str], weights: Weights) -> ir.Model | None:
        """The piece called `name` that was traced from `fields`, reading `weights`; None if there is none."""
        if self.folder is None:
            self._note(name, "nothing is kept")
            return None
        fields = {**_tools(), **fields}
        path = self._path(name, fields)
        entry = _read(path)
        if entry is None:
            self._note(name, _differences(fields, self._others(name)))
            return None
        graph = path.with_suffix(".onnx")
        if not graph.is_file() or files.sha256(graph) != entry["sha256"]:
            self._note(name, f"{graph} is damaged")
            return None
        for file in (path, graph):
            with contextlib.suppress(OSError):
                os.utime(file)
        self._note(name, f"as traced before, {graph}", reused=True)
        return _with_weights(ir.load(graph), weights)

    def save(self, name: str, fields: Mapping[str, str], model: ir.Model, weights: Weights) -> None:
        """Keep a piece that was just traced; `weights` names the initialisers that are left out. A cache that cannot
        be written is no reason to fail."""
        if self.folder is None:
            return
        fields = {**_tools(), **fields}
        path = self._path(name, fields)
        data = ir.to_proto(_without_weights(model.clone(), weights)).SerializeToString()
        document = {"fields": fields, "sha256": hashlib.sha256(data).hexdigest()}
        with contextlib.suppress(OSError, codi_export.errors.CodiError):
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write(path.with_suffix(".onnx"), data)
            files.write(path, json.dumps(document).encode())
            self._forget()

    def _path(self, name: str, fields: Mapping[str, str]) -> Path:
        assert self.folder is not None
        key = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{name}-{key[:24]}.json"

    def _others(self, name: str) -> list[dict[str, str]]:
        assert self.folder is not None
        entries = (_read(path) for path in self.folder.glob(f"{name}-*.json"))
        return [entry["fields"] for entry in entries if entry]

    def _note(self, name: str, reason: str, reused: bool = False) -> None:
        self.lookups.append(Lookup(f"{self.task}/{name}", reused, reason))

    def _forget(self) -> None:
        assert self.folder is not None
        for path in sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            path.unlink(missing_ok=True)
            path.with_suffix(".onnx").unlink(missing_ok=True)


def default() -> Cache:
    """The user's own."""
    return Cache(files.user_cache())


def _tools() -> dict[str, str]:
    """What traces: versions, and this package's own source."""
    digest = hashlib.sha256()
    for part in ("graph", "model"):
        for file in sorted((Path(codi_export.__file__).parent / part).rglob("*.py")):
            digest.update(file.read_bytes())
    return {tool: importlib.metadata.version(tool) for tool in TOOLS} | {"codi-export": digest.hexdigest()[:16]}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json.loads(path.read_text())
        return entry if {"fields", "sha256"} <= entry.keys() else None
    except (OSError, ValueError):
        return None


def _differences(fields: Mapping[str, str], others: list[dict[str, str]]) -> str:
    """How the nearest piece of that name differs."""
    changes = [
        [key for key in dict.fromkeys([*fields, *other]) if fields.get(key) != other.get(key)] for other in others
    ]
    if not changes:
        return "never traced before"
    nearest = min(range(len(others)), key=lambda index: len(changes[index]))
    named = [
        f"{key}: {textwrap.shorten(others[nearest].get(key, 'absent'), LONGEST)} -> "
        f"{textwrap.shorten(fields.get(key, 'absent'), LONGEST)}"
        for key in changes[nearest][:NAMED]
    ]
    more = len(changes[nearest]) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")


def _without_weights(model: ir.Model, weights: Weights) -> ir.Model:
    """Weights become inputs: an ONNX file has no other word for a tensor that is not there."""
    for name in [name for name in model.graph.initializers if name in weights]:
        value = model.graph.initializers.pop(name)
        value.const_value = None
        model.graph.inputs.append(value)
    return model


def _with_weights(model: ir.Model, weights: Weights) -> ir.Model:
    for value in [value for value in model.graph.inputs if value.name in weights]:
        model.graph.inputs.remove(value)
        value.const_value = weights[str(value.name)]
        model.graph.register_initializer(value)
    return model
