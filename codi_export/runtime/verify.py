"""Is a bundle what was built, and does it compute what torch computed? Every answer is a `Check`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from codi_export import bundle, registry
from codi_export.backends import Backend
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.opening import Where, open_graph
from codi_export.runtime.session import Session
from codi_export.spec import QUANTIZED, TOLERANCES, FileEntry, Graph, Manifest, Tolerance


@dataclass(frozen=True, slots=True)
class Check:
    """`code` and `hint` are the error's, empty if `ok`."""

    name: str
    ok: bool
    detail: str
    code: str = ""
    hint: str = ""


def checks(folder: Path, provider: str = "cpu", backend: str = "onnxruntime") -> Iterator[Check]:
    """Manifest, pickles, each file, then each graph's golden; graphs are not run if a file is not what was built."""
    try:
        manifest = bundle.read_manifest(folder)
    except CodiError as error:
        yield _failed("manifest", error)
        return
    yield Check("manifest", True, "schema and paths")
    sound = True
    for check in _file_checks(folder, manifest):
        sound = sound and check.ok
        yield check
    for graph in manifest.graphs:
        question = partial(golden, folder, graph, provider, backend) if sound else _not_run
        yield _check(f"golden {graph.name}", _of_another_adapter if manifest.swapped(graph) else question)


def _file_checks(folder: Path, manifest: Manifest) -> Iterator[Check]:
    yield _check("pickles", partial(_no_pickles, folder))
    for entry in manifest.files:
        yield _check(entry.path, partial(_unchanged, folder, entry))
    for path in bundle.unlisted(folder, manifest):
        yield Check(path, True, "warning: not in the manifest, so never checked")


def _check(name: str, question: Callable[[], str]) -> Check:
    try:
        return Check(name, True, question())
    except CodiError as error:
        return _failed(name, error)


def _failed(name: str, error: CodiError) -> Check:
    return Check(name, False, f"{error.message}; {error.hint}".removesuffix("; "), error.code.value, error.hint)


def _no_pickles(folder: Path) -> str:
    bundle.refuse_pickles(folder)
    return "none"


def _unchanged(folder: Path, entry: FileEntry) -> str:
    bundle.check_file(folder, entry)
    return f"{entry.bytes} bytes, SHA-256 matches"


def _of_another_adapter() -> str:
    return "not recorded for this adapter, which was swapped in"


def _not_run() -> str:
    raise CodiError(ErrorCode.BAD_BUNDLE, "not run: the files are not those that were built")


def golden(folder: Path, graph: Graph, provider: str = "cpu", backend: str = "onnxruntime") -> str:
    """Run the stored picture and noise and compare with torch's output. Raises CodiError (parity, bad-bundle)."""
    if not graph.golden:
        return "not recorded"
    return judge(folder, graph, open_graph(folder, graph, Where(provider, backend)))


def judge(folder: Path, graph: Graph, session: Session) -> str:
    """What `session` makes of the stored picture and noise, beside torch's output. Raises as `golden`."""
    inputs, expected = _load(folder / graph.golden, graph)
    output = session.run(**inputs)
    _require_alive(session, output, inputs)
    chosen: Backend = registry.get("backends", session.backend)
    other = chosen.precision if graph.precision not in QUANTIZED else None
    limit = TOLERANCES[other] if other else graph.tolerance
    return _compare(output, expected, limit, on_cpu=session.provider == "cpu")


def _load(path: Path, graph: Graph) -> tuple[dict[str, NDArray[Any]], NDArray[np.uint8]]:
    """(inputs by name, output)."""
    try:
        tensors: dict[str, Any] = load_file(path)
        return {spec.name: tensors[spec.name] for spec in graph.inputs}, tensors["output"]
    except (SafetensorError, KeyError, OSError) as error:
        raise CodiError(ErrorCode.BAD_BUNDLE, f"{path} is not a golden: {error!r}", "build the bundle again") from error


def _compare(output: NDArray[np.uint8], expected: NDArray[np.uint8], limit: Tolerance, on_cpu: bool) -> str:
    if output.shape != expected.shape:
        raise _parity(f"the output is {output.shape}, torch's is {expected.shape}")
    difference = output.astype(np.float64) - expected
    level = int(np.abs(difference).max())
    if level == 0:
        return "equal to torch's output"
    psnr = 10 * np.log10(255**2 / np.mean(difference**2))
    figures = f"at most {level} levels from torch, {psnr:.1f} dB"
    if on_cpu and limit.max_level is not None:
        if level > limit.max_level:
            raise _parity(f"{figures}; the limit is {limit.max_level} level")
    elif psnr < limit.elsewhere_db:
        raise _parity(f"{figures}; the limit is {limit.elsewhere_db:g} dB")
    return figures


def _require_alive(session: Session, output: NDArray[np.uint8], inputs: dict[str, NDArray[Any]]) -> None:
    """A graph full of NaN, or cut off from an input, still gives uint8 pixels: it is known by what does not change."""
    if output.min() == output.max():
        raise _parity(f"the output is constant: every pixel is {output.max()}")
    for name, value in inputs.items():
        other = np.asarray(255 - value if value.dtype == np.uint8 else -value)  # numpy makes a number of a []
        if np.array_equal(session.run(**{**inputs, name: other}), output):
            raise _parity(f"the output does not change with the input '{name}'")


def _parity(message: str) -> CodiError:
    return CodiError(ErrorCode.PARITY, message, "build the bundle again here and report it if it stays")
