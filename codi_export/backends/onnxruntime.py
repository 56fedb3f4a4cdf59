"""ONNX Runtime: graphs as they are, on the CPU or on an NVIDIA GPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export.backends import Backend, Runner
from codi_export.errors import CodiError, ErrorCode

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


def available() -> tuple[str, ...]:
    """The providers of the onnxruntime that is installed here, by our names."""
    here = _onnxruntime().get_available_providers()
    return tuple(name for name, full in PROVIDERS.items() if full in here)


def open_graph(path: Path, provider: str = "cpu", threads: int | None = None) -> Runner:
    """Load an ONNX file whose weights lie beside it. `threads` = None leaves their number to onnxruntime.

    Raises CodiError (unknown-name, missing-package, backend); never runs on another provider than the one asked for.
    """
    runtime = _onnxruntime()
    _require(provider)
    try:
        session = runtime.InferenceSession(str(path), _options(runtime, threads), providers=[PROVIDERS[provider]])
    except Exception as error:  # onnxruntime's errors have no common base
        raise _failed(f"onnxruntime cannot open {path}", error) from error
    session.disable_fallback()
    if session.get_providers()[0] != PROVIDERS[provider]:
        raise CodiError(
            ErrorCode.BACKEND, f"onnxruntime fell back to {session.get_providers()[0]} from {provider}", _GPU_HINT
        )

    def run(inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
        try:
            outputs = session.run(None, dict(inputs))
        except Exception as error:
            raise _failed(f"onnxruntime cannot run {path}", error) from error
        return dict(zip((output.name for output in session.get_outputs()), outputs, strict=True))

    return run


_GPU_HINT = "codi-export doctor says what is here; pip install 'codi-export[gpu]' adds the GPU providers"


def _options(runtime: Any, threads: int | None) -> Any:
    """Memory that follows what is alive: onnxruntime's own planning hands a buffer only to values of equal shape and
    holds it meanwhile, and its arena doubles whenever it grows. On `mini` at 2 steps that is 8 times as much (DECISIONS
    48)."""
    grow_as_asked = runtime.OrtArenaCfg(0, 1, -1, -1)  # kSameAsRequested
    memory = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(memory, grow_as_asked)  # for all sessions of the process; again is harmless
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.enable_mem_reuse = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors; its warnings are about graphs that users cannot change
    options.intra_op_num_threads = threads or 0
    return options


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise CodiError(ErrorCode.MISSING_PACKAGE, "onnxruntime is not installed", "pip install onnxruntime") from error
    return onnxruntime


def _require(provider: str) -> None:
    here = ", ".join(available())
    if provider not in PROVIDERS:
        raise CodiError(ErrorCode.UNKNOWN_NAME, f"unknown provider '{provider}'; available: {here}", _GPU_HINT)
    if provider not in available():
        raise CodiError(ErrorCode.BACKEND, f"onnxruntime has no {provider} provider here; available: {here}", _GPU_HINT)


def _failed(what: str, error: Exception) -> CodiError:
    return CodiError(
        ErrorCode.BACKEND,
        f"{what}: {error}",
        "codi-export verify checks the bundle; codi-export doctor the installation",
    )


BACKEND = Backend(name="onnxruntime", providers=available, open=open_graph)
