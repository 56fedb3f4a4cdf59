"""ONNX Runtime: graphs as they are, on the CPU or on an NVIDIA GPU."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export.backends import Arrays, Backend, NodeTime, Runner, TracedCall
from codi_export.backends.nvidia import providers
from codi_export.backends.nvidia.bound import Bound
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import PORTABLE

PROVIDERS = {"cpu": "CPUExecutionProvider"} | {name: one.full for name, one in providers.PROVIDERS.items()}
KERNEL = "_kernel_time"  # what the profiler puts behind a node's name
OUR_KERNELS = "CODI_ONNXRUNTIME_KERNELS"  # names libcodi_onnxruntime.so (kernels/README.md)
CHANNELS_LAST = ".contrib"  # the lowering whose norms are; convolutions beside them should be so too


def available() -> tuple[str, ...]:
    """The providers of the onnxruntime that is installed here, by our names."""
    here = _onnxruntime().get_available_providers()
    return tuple(name for name, full in PROVIDERS.items() if full in here)


@dataclass(frozen=True, slots=True)
class OrtRunner:
    """A session, called as a `Runner`; on a GPU its tensors stay there, `bound`."""

    path: Path
    provider: str
    session: Any
    bound: Bound | None = None
    run_options: Any = None

    def __call__(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[Any]]:
        try:
            if self.bound:
                self.bound.fill(dict(inputs))
                self.bound.launch()
                return self.bound.read()
            outputs = self.session.run(None, dict(inputs), self.run_options)
        except Exception as error:
            raise _failed(f"onnxruntime cannot run {self.path}", error) from error
        return dict(zip((output.name for output in self.session.get_outputs()), outputs, strict=True))


def open_graph(path: Path, provider: str = "cpu", threads: int | None = None, in_order: bool = False) -> OrtRunner:
    """Load an ONNX file whose weights lie beside it. `threads` = None leaves their number to onnxruntime. `in_order`:
    nodes run in the file's order; its own leaves what nothing but outputs read to the end, and holds its inputs.

    Raises CodiError (unknown-name, missing-package, backend); never runs on another provider than the one asked for.
    """
    runtime = _onnxruntime()
    _require(provider)
    return _open(path, provider, _options(runtime, threads, in_order))


def open_shared(path: Path, provider: str = "cpu", threads: int | None = None, in_order: bool = False) -> Runner:
    """As `open_graph`, but weights are read from the mapped file in every call, and a call gives back what it took. So
    nothing may be made of the weights beforehand: no other layout, no constants computed from them (DECISIONS 35)."""
    runtime = _onnxruntime()
    _require(provider)
    if provider != "cpu":
        raise CodiError(ErrorCode.BAD_OPTION, f"memory 'shared' is for the cpu provider, not {provider}", _GPU_HINT)
    options = _options(runtime, threads, in_order)
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    run_options = runtime.RunOptions()
    run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return replace(_open(path, provider, options, ("ConstantFolding",)), run_options=run_options)


def open_within(path: Path, provider: str, threads: int | None, memory_bytes: int) -> OrtRunner:
    """As `open_graph`, on a GPU of whose memory no more than `memory_bytes` are taken: by the CUDA provider's arena, or
    by a TensorRT builder's workspace. Raises CodiError (bad-option) on a CPU, where the system's own limits hold."""
    runtime = _onnxruntime()
    if provider == "cpu":
        hint = "on a CPU memory='shared' takes less, and ulimit -v or a cgroup sets a limit"
        raise CodiError(ErrorCode.BAD_OPTION, "a memory limit is for GPU providers, not cpu", hint)
    _require(provider)
    return _open(path, provider, _options(runtime, threads), memory_bytes=memory_bytes)


def bind(runner: Runner, inputs: Arrays) -> Callable[[], object]:
    """A call that copies nothing: inputs, and outputs, are where the provider works."""
    assert isinstance(runner, OrtRunner)
    bound = runner.bound or Bound(_onnxruntime(), runner.session, "cpu")
    bound.fill(inputs)
    return bound.launch


def trace(path: Path, provider: str, threads: int | None, inputs: Arrays, calls: int) -> list[TracedCall]:
    """Node times by onnxruntime's own profiler, after a call that is left out. Raises CodiError (backend)."""
    runtime = _onnxruntime()
    _require(provider)
    with tempfile.TemporaryDirectory() as folder:
        options = _options(runtime, threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "trace"))
        runner = _open(path, provider, options)
        for _ in range(1 + calls):
            runner(inputs)
        events = json.loads(Path(runner.session.end_profiling()).read_text())
    return _calls(events)[1:]


def _calls(events: list[dict[str, Any]]) -> list[TracedCall]:
    """Times in the file are microseconds; a node's kernel belongs to the run that it lies in."""
    runs = [event for event in events if event["cat"] == "Session" and event["name"] == "model_run"]
    kernels = [event for event in events if event["cat"] == "Node" and event["name"].endswith(KERNEL)]
    kernels.sort(key=lambda event: event["ts"])
    calls = []
    for run in runs:
        inside = [event for event in kernels if run["ts"] <= event["ts"] <= run["ts"] + run["dur"]]
        calls.append(TracedCall(run["dur"] / 1000, tuple(_node_time(event, run["ts"]) for event in inside)))
    return calls


def _node_time(event: dict[str, Any], start: float) -> NodeTime:
    said = event["args"]
    sizes = [said.get(name) for name in ("activation_size", "parameter_size", "output_size")]
    outputs = _shapes(said.get("output_type_shape"))
    return NodeTime(
        event["name"].removesuffix(KERNEL),
        said.get("op_name", ""),
        (event["ts"] - start) / 1000,
        event["dur"] / 1000,
        _shapes(said.get("input_type_shape")),
        outputs[0] if outputs else (),
        None if None in sizes else sum(int(size) for size in sizes if size is not None),
    )


def _shapes(said: list[dict[str, list[int]]] | None) -> tuple[tuple[int, ...], ...]:
    """`[{"float": [1, 3, 64, 64]}, …]`"""
    return tuple(tuple(sizes) for tensor in said or [] for sizes in tensor.values())


def _open(path: Path, provider: str, options: Any, without: Sequence[str] = (), memory_bytes: int = 0) -> OrtRunner:
    """`without`: rewrites that the runtime shall not do; `memory_bytes`: as `providers.options`."""
    runtime = _onnxruntime()
    try:
        session = runtime.InferenceSession(
            str(path),
            options,
            providers=[_provider(provider, path, memory_bytes)],
            disabled_optimizers=list(without),
        )
    except Exception as error:  # onnxruntime's errors have no common base
        raise _failed(f"onnxruntime cannot open {path}", error) from error
    session.disable_fallback()
    if session.get_providers()[0] != PROVIDERS[provider]:
        raise CodiError(
            ErrorCode.BACKEND, f"onnxruntime fell back to {session.get_providers()[0]} from {provider}", _GPU_HINT
        )
    return OrtRunner(path, provider, session, None if provider == "cpu" else Bound(runtime, session, "cuda"))


def _provider(name: str, path: Path, memory_bytes: int) -> Any:
    """Its full name, with options where it has some."""
    if name == "cpu":
        return PROVIDERS[name]
    found = providers.options(name, path.parent.parent / "engines", memory_bytes)  # of the bundle
    if name == "cuda" and CHANNELS_LAST in path.suffixes:
        found["prefer_nhwc"] = "1"
    return PROVIDERS[name], found


_GPU_HINT = "codi-export doctor says what is here; pip install 'codi-export[gpu]' adds the GPU providers"


def _options(runtime: Any, threads: int | None, in_order: bool = False) -> Any:
    """Memory that follows what is alive: onnxruntime's own planning hands a buffer only to values of equal shape and
    holds it meanwhile, and its arena doubles whenever it grows. On `mini` at 2 steps that is 8 times as much (DECISIONS
    41)."""
    grow_as_asked = runtime.OrtArenaCfg(0, 1, -1, -1)  # kSameAsRequested
    memory = runtime.OrtMemoryInfo("Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT)
    runtime.create_and_register_allocator(memory, grow_as_asked)  # for all sessions of the process; again is harmless
    options = runtime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    if in_order:
        options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED  # all are of one priority
    options.enable_mem_reuse = False
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors; its warnings are about graphs that users cannot change
    options.intra_op_num_threads = threads or 0
    if kernels := os.environ.get(OUR_KERNELS):
        try:
            options.register_custom_ops_library(kernels)
        except Exception as error:
            raise _failed(f"{OUR_KERNELS}: onnxruntime cannot register {kernels}", error) from error
    return options


def lowering(provider: str) -> str:
    """On CUDA our kernels where they are registered, else its own fused ones; a CPU is fastest with neither."""
    if provider != "cuda":
        return PORTABLE
    return "codi" if os.environ.get(OUR_KERNELS) else "contrib"


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
        package = providers.PROVIDERS[provider].package
        hint = f"pip uninstall onnxruntime, then pip install '{package}'; codi-export doctor says what is here"
        raise CodiError(ErrorCode.BACKEND, f"onnxruntime has no {provider} provider here; available: {here}", hint)


def _failed(what: str, error: Exception) -> CodiError:
    return CodiError(
        ErrorCode.BACKEND,
        f"{what}: {error}",
        "codi-export verify checks the bundle; codi-export doctor the installation",
    )


BACKEND = Backend(
    "onnxruntime",
    available,
    open_graph,
    bind,
    trace,
    lacks={"cpu": ("bf16",)},
    open_shared=open_shared,
    open_within=open_within,
    lowering=lowering,
)
