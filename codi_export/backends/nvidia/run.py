"""Engine -> runner, on the GPU that it was built for; and other weights into an engine."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export.backends import Arrays, Runner
from codi_export.backends.nvidia import cuda, log
from codi_export.errors import CodiError, ErrorCode


def open_engine(trt: Any, path: Path, weights: Path | None = None) -> Runner:
    """Load an engine file, with the weights of the ONNX file `weights` if it was stripped of them. Raises CodiError
    (backend) for one of another GPU or version, and where there is no GPU."""
    engine, lines = _engine(trt, path)
    if weights:
        _refit(trt, engine, path, weights, lines)
    context = engine.create_execution_context()
    if context is None:
        raise _failed(f"cannot run {path}", lines)
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    buffers = {
        name: cuda.Buffer(tuple(engine.get_tensor_shape(name)), trt.nptype(engine.get_tensor_dtype(name)))
        for name in names
    }
    inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    stream = cuda.call("cudaStreamCreate")
    for name, buffer in buffers.items():
        context.set_tensor_address(name, buffer.address)

    def run(given: Arrays) -> dict[str, NDArray[Any]]:
        held = {name: np.ascontiguousarray(given[name], buffers[name].dtype) for name in inputs}
        for name, array in held.items():
            buffers[name].write(array, stream)
        if not context.execute_async_v3(int(stream)):
            raise _failed(f"{path} did not run", lines)
        outputs = {name: np.empty(buffers[name].shape, buffers[name].dtype) for name in names if name not in held}
        for name, array in outputs.items():
            buffers[name].read(array, stream)
        cuda.call("cudaStreamSynchronize", stream)
        return outputs

    return run


def refit(trt: Any, path: Path, graph: Path) -> bytes:
    """The engine at `path` with the weights that the ONNX file `graph` has now, where they were built to be replaced.
    Raises CodiError (backend)."""
    engine, lines = _engine(trt, path)
    if not engine.refittable:
        raise CodiError(ErrorCode.BACKEND, f"{path} was not built to take other weights", "codi-export finalize builds")
    _refit(trt, engine, path, graph, lines)
    return bytes(engine.serialize())


def _refit(trt: Any, engine: Any, path: Path, graph: Path, lines: list[tuple[int, str]]) -> None:
    """Put the weights of `graph` into the engine that came from `path`."""
    logger = log.logger(trt, lines)
    refitter = trt.Refitter(engine, logger)
    parser = trt.OnnxParserRefitter(refitter, logger)
    if not parser.refit_from_file(str(graph)) or not refitter.refit_cuda_engine():
        raise _failed(f"the weights of {graph} do not fit {path}", lines)


def _engine(trt: Any, path: Path) -> tuple[Any, list[tuple[int, str]]]:
    cuda.device()  # TensorRT's own word for an absent GPU is a crash in some versions
    lines: list[tuple[int, str]] = []
    engine = trt.Runtime(log.logger(trt, lines)).deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise _failed(f"{trt.__name__} {trt.__version__} cannot load {path}", lines)
    return engine, lines


def _failed(what: str, lines: list[tuple[int, str]]) -> CodiError:
    reason = log.first_error(lines)
    return CodiError(
        ErrorCode.BACKEND, f"{what}: {reason or 'it gave no reason'}", "codi-export finalize builds one for this GPU"
    )
