"""OpenVINO, the fastest runtime for our graphs on x86 CPUs: in float32, or from `openvino_bf16` in bfloat16.

The graph is the same file that onnxruntime opens. Compiling it takes seconds, so what was compiled is kept; OpenVINO
knows it again by the model's content, weights included.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export import files
from codi_export.backends import Backend
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import Precision

HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16"}
BF16 = "BF16"  # among a device's abilities: with instructions of its own, or at least AVX-512 to imitate them


@dataclass(frozen=True, slots=True)
class OpenVinoRunner:
    """A compiled graph, called as a `Runner`."""

    path: Path
    request: Any
    outputs: tuple[str, ...]

    def __call__(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
        try:
            found = self.request.infer(dict(inputs))
        except RuntimeError as error:
            raise _failed(f"openvino cannot run {self.path}", error) from error
        return {name: np.array(found[name]) for name in self.outputs}


def backend(name: str, precision: Precision) -> Backend:
    """OpenVINO on the CPU, with products in `precision`."""

    def open_graph(path: Path, provider: str = "cpu", threads: int | None = None) -> OpenVinoRunner:
        return _open(path, provider, threads, precision)

    other = None if precision == "fp32" else precision
    return Backend(name, lambda: _providers(precision), open_graph, precision=other)


def _open(path: Path, provider: str, threads: int | None, precision: Precision) -> OpenVinoRunner:
    """Raises CodiError (unknown-name, missing-package, backend)."""
    here = _providers(precision)
    if provider not in here:
        raise CodiError(
            ErrorCode.UNKNOWN_NAME,
            f"openvino has no provider '{provider}' for {precision}; available: {', '.join(here) or 'none'}",
            "--backend openvino computes in fp32",
        )
    options = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "CACHE_DIR": str(files.user_cache() / "openvino"),
    }
    if threads:
        options["INFERENCE_NUM_THREADS"] = str(threads)
    try:
        core = _openvino().Core()
        compiled = core.compile_model(core.read_model(path), "CPU", options)
        request = compiled.create_infer_request()
    except RuntimeError as error:
        raise _failed(f"openvino cannot open {path}", error) from error
    return OpenVinoRunner(path, request, tuple(output.get_any_name() for output in compiled.outputs))


def _providers(precision: Precision) -> tuple[str, ...]:
    """The CPU, if OpenVINO computes in `precision` on it."""
    abilities = _openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("cpu",) if precision == "fp32" or BF16 in abilities else ()


def _openvino() -> Any:
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE, "openvino is not installed", "pip install 'codi-export[openvino]'"
        ) from error
    return openvino


def _failed(what: str, error: Exception) -> CodiError:
    return CodiError(ErrorCode.BACKEND, f"{what}: {error}", "codi-export verify checks the bundle")


BACKEND = backend("openvino", "fp32")
