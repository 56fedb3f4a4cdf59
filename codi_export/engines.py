"""Engines of a bundle: what they are called, what is known of each, and which one runs here.

An engine file counts only with its sidecar, which is written last and says what it was built from; so nothing
half-written is ever loaded, and after a swap no engine of the former adapter is.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from codi_export import files
from codi_export.backends import Backend, Device, Runner
from codi_export.errors import CodiError, ErrorCode
from codi_export.records import from_json, to_json
from codi_export.spec import QUANTIZED, Graph, Manifest, TensorSpec

FOLDER = "engines"


@dataclass(frozen=True, slots=True)
class Engine:
    """A compiled graph, `engines/*.engine`, as its sidecar describes it.

    `sources`: path -> SHA-256 of what it was built from; `driver`: newest CUDA that the driver knows, empty if built
    where there was no GPU; `seconds` and `peak_bytes` of the build; `kernels` by kind; `golden`: what the comparison
    with torch's output said on the device, empty until it was made.
    """

    graph: str
    backend: str
    version: str
    sm: int
    device: str
    driver: str
    precision: str
    inputs: tuple[TensorSpec, ...]
    sources: dict[str, str]
    seconds: float
    peak_bytes: int
    swappable: bool = False  # takes another adapter's weights
    version_compatible: bool = False
    stripped: bool = False  # its weights are the bundle's: it is opened with them
    kernels: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    golden: str = ""
    path: str = ""
    bytes: int = 0
    sha256: str = ""


def sources(manifest: Manifest, graph: Graph) -> dict[str, str]:
    """The graph and every file that it may read weights from, with their SHA-256."""
    kind = ".int8" if graph.precision in QUANTIZED else ""
    names = (f"backbone{kind}", f"encoder{kind}", graph.task, graph.name)
    paths = {graph.path, *(f"graphs/{name}.safetensors" for name in names)}
    return {entry.path: entry.sha256 for entry in manifest.files if entry.path in paths}


def stem(manifest: Manifest, graph: Graph, backend: Backend, sm: int) -> str:
    """`sm89-tensorrt-rtx1.7.1-fp16-1x64x64x3-1f0c3a9e`; the last part is of what it is built from."""
    assert backend.compiler is not None
    built_from = json.dumps([graph.name, sources(manifest, graph)], sort_keys=True)
    shape = "x".join(str(size) for size in graph.inputs[0].shape)
    digest = hashlib.sha256(built_from.encode()).hexdigest()[:8]
    return f"sm{sm}-{backend.name}{backend.compiler.version()}-{graph.precision}-{shape}-{digest}"


def timing_cache(folder: Path, backend: Backend, sm: int) -> Path | None:
    """Where the builder's timings are kept, per version and GPU; None for a runtime that keeps none."""
    compiler = backend.compiler
    assert compiler is not None
    return folder / FOLDER / f"sm{sm}-{backend.name}{compiler.version()}.timing" if compiler.timing_cache else None


def write(folder: Path, name: str, data: bytes, engine: Engine) -> Engine:
    """Write an engine and then its sidecar; returns the record with size and hash. Raises CodiError (write-failed)."""
    path = folder / FOLDER / f"{name}.engine"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)  # of a former engine of that name
    files.write(path, data)
    found = replace(engine, path=f"{FOLDER}/{path.name}", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    write_sidecar(folder, found)
    return found


def write_sidecar(folder: Path, engine: Engine) -> None:
    """What is known of an engine, beside it."""
    files.write((folder / engine.path).with_suffix(".json"), json.dumps(to_json(engine), indent=1).encode() + b"\n")


def read(folder: Path, name: str) -> Engine | None:
    """The engine called `name`, whole and unchanged; None if there is none. Raises CodiError (hash-mismatch)."""
    sidecar = folder / FOLDER / f"{name}.json"
    if not sidecar.is_file():
        return None
    engine = _load(sidecar)
    path = files.inside(folder, engine.path)
    if not path.is_file() or path.stat().st_size != engine.bytes or files.sha256(path) != engine.sha256:
        raise CodiError(
            ErrorCode.HASH_MISMATCH, f"{path} is not the engine that was built", f"codi-export finalize {folder}"
        )
    return engine


def all_of(folder: Path, graph: Graph) -> Iterator[Engine]:
    """Every engine of a graph, for any device."""
    for sidecar in sorted((folder / FOLDER).glob("*.json")):
        engine = _load(sidecar)
        if engine.graph == graph.name:
            yield engine


def open_(folder: Path, graph: Graph, backend: Backend, engine: Engine) -> Runner:
    """A whole engine, with the bundle's weights if it was stripped of its own. Raises CodiError (backend)."""
    assert backend.compiler is not None
    if engine.stripped:
        return backend.compiler.open_stripped(folder / engine.path, folder / graph.path)
    return backend.open(folder / engine.path, "gpu", None)


def find(folder: Path, manifest: Manifest, graph: Graph, backend: Backend) -> Engine:
    """The checked engine of `graph` for the GPU here. Raises CodiError (no-engine, hash-mismatch, backend,
    missing-package); the message says what there is instead."""
    assert backend.compiler is not None
    backend.compiler.version()  # an absent package is the first thing to know
    device = backend.compiler.device()
    engine = read(folder, stem(manifest, graph, backend, device.sm))
    if engine is None:
        raise _absent(folder, manifest, graph, backend, device)
    if not engine.golden:
        raise CodiError(
            ErrorCode.NO_ENGINE,
            f"{engine.path} was built ahead of time and never compared with torch's output",
            f"codi-export finalize {folder} --backend {backend.name}",
        )
    return engine


def _absent(folder: Path, manifest: Manifest, graph: Graph, backend: Backend, device: Device) -> CodiError:
    assert backend.compiler is not None
    wanted = f"{backend.name} {backend.compiler.version()} on SM {device.sm} ({device.name})"
    now = sources(manifest, graph)
    others = [
        f"{one.backend} {one.version} on SM {one.sm}" + ("" if one.sources == now else ", for other weights")
        for one in all_of(folder, graph)
    ]
    return CodiError(
        ErrorCode.NO_ENGINE,
        f"no engine of {graph.name} for {wanted}; there is {'; '.join(others) or 'none at all'}",
        f"codi-export finalize {folder} --backend {backend.name}",
    )


def _load(sidecar: Path) -> Engine:
    try:
        return from_json(Engine, json.loads(sidecar.read_bytes()))
    except ValueError as error:
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{sidecar} is not JSON: {error}", "delete it and finalize") from error
