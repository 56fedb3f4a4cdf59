"""Graph -> engine. Precision lives in the graph: networks are strongly typed."""

import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from codi_export import files
from codi_export.backends import Built, EngineOptions, Phases
from codi_export.backends.nvidia import log
from codi_export.errors import CodiError, ErrorCode


def build(trt: Any, path: Path, options: EngineOptions, phases: Phases) -> Built:
    """Parse the ONNX file at `path` and build an engine of it. Raises CodiError (backend, bad-option); what the builder
    said is then kept at `options.log`."""
    lines: list[tuple[int, str]] = []
    try:
        builder = trt.Builder(log.logger(trt, lines))
        network = _parsed(trt, builder, path, options, lines)
        config = _config(trt, builder, network, options, lines)
        config.progress_monitor = _monitor(trt, phases)
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise _failed(*log.plain(log.first_error(lines), options.modules))
        _keep_timing(config, options.timing_cache)
    except CodiError as error:
        raise _kept(error, options.log, lines) from error
    return Built(bytes(built), log.kernels(lines), log.warnings(lines))


def _parsed(trt: Any, builder: Any, path: Path, options: EngineOptions, lines: list[tuple[int, str]]) -> Any:
    """The network of a graph; weights are read from the files beside it. A refusal names the node and its module."""
    strong = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(1 << int(strong) if strong is not None else 0)  # from 11 on there is no other kind
    parser = trt.OnnxParser(network, log.logger(trt, lines))
    if parser.parse_from_file(str(path)):
        return network
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    if not errors:
        raise _failed(
            f"the parser cannot read {path}: {log.first_error(lines)}", "codi-export verify checks the bundle"
        )
    worst = errors[0]
    name = worst.node_name()
    module = options.modules.get(name, "")
    raise _failed(
        f"the parser refuses {worst.node_operator() or 'the graph'} at {name or 'an unnamed node'}"
        f"{f', from {module}' if module else ''}: {worst.desc()}",
        "another version of the runtime may read it; its log says more",
    )


def _config(trt: Any, builder: Any, network: Any, options: EngineOptions, lines: list[tuple[int, str]]) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # kernels and stages can be told apart
    if options.sm:
        _set_sm(trt, config, options.sm)
    if options.workspace_bytes:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    if options.level is not None:
        config.builder_optimization_level = options.level
    identical = options.stripped and not options.refittable  # what comes back is what was taken out: no kernel differs
    wanted = {"VERSION_COMPATIBLE": options.version_compatible, "STRIP_PLAN": options.stripped}
    wanted["REFIT_IDENTICAL"] = identical
    for name in (name for name, on in wanted.items() if on):
        config.set_flag(_flag(trt, name))
    if options.refittable:
        _mark_refittable(trt, config, network, options.refittable)
    for bucket in options.buckets:
        config.add_optimization_profile(_profile(builder, network, bucket))
    _require_fixed(network, options)
    _use_timing(config, options.timing_cache, lines)
    return config


def _set_sm(trt: Any, config: Any, sm: int) -> None:
    """Build for a GPU that need not be here; TensorRT itself builds for the one that is."""
    kinds = getattr(trt, "ComputeCapability", None)
    there = sorted(name for name in dir(kinds) if name.startswith("SM")) if kinds else []
    if f"SM{sm}" not in there:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"{trt.__name__} {trt.__version__} does not build for SM {sm} ahead of time: "
            f"{', '.join(there) or 'only for the GPU that is here'}",
            "build it on the device: codi-export finalize",
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(kinds, f"SM{sm}"), 0)


def _flag(trt: Any, name: str) -> Any:
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is None:
        raise CodiError(ErrorCode.BAD_OPTION, f"{trt.__name__} {trt.__version__} has no {name}", "leave it out")
    return flag


def _mark_refittable(trt: Any, config: Any, network: Any, names: tuple[str, ...]) -> None:
    """Only these: a refittable weight is never folded or transposed at build, which costs time at run."""
    config.set_flag(_flag(trt, "REFIT_INDIVIDUAL"))
    unknown = [name for name in names if not network.mark_weights_refittable(name)]
    if unknown:
        raise CodiError(ErrorCode.BAD_OPTION, f"the network has no weights {', '.join(unknown[:3])}", "")


def _profile(builder: Any, network: Any, bucket: dict[str, Any]) -> Any:
    profile = builder.create_optimization_profile()
    names = [network.get_input(index).name for index in range(network.num_inputs)]
    for name, (smallest, usual, largest) in bucket.items():
        if name not in names:
            raise CodiError(ErrorCode.BAD_OPTION, f"no input '{name}'; the graph takes {', '.join(names)}", "")
        profile.set_shape(name, smallest, usual, largest)
    return profile


def _require_fixed(network: Any, options: EngineOptions) -> None:
    free = [
        tensor.name
        for tensor in (network.get_input(index) for index in range(network.num_inputs))
        if -1 in tuple(tensor.shape) and not all(tensor.name in bucket for bucket in options.buckets or ({},))
    ]
    if free:
        raise CodiError(ErrorCode.BAD_OPTION, f"inputs with free sizes need a shape bucket: {', '.join(free)}", "")


def _use_timing(config: Any, path: Path | None, lines: list[tuple[int, str]]) -> None:
    """A cache that cannot be read is dropped: it only saves time."""
    if path is None:
        return
    data = path.read_bytes() if path.is_file() else b""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TensorRT-RTX keeps none
        for content in (data, b""):
            with suppress(Exception):  # what a binding raises for bad bytes is its own
                cache = config.create_timing_cache(content)
                if cache is not None and config.set_timing_cache(cache, False):
                    break
            lines.append((2, f"the timing cache {path} is damaged or of another version: dropped"))


def _keep_timing(config: Any, path: Path | None) -> None:
    if path is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = config.get_timing_cache()
    if cache is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, bytes(cache.serialize()))


def _monitor(trt: Any, phases: Phases) -> Any:
    """Phases nest; the outermost ones are told, each with its steps."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.sizes: dict[str, int] = {}

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            self.sizes[phase] = steps
            phases(phase, 0, steps)

        def step_complete(self, phase: str, step: int) -> bool:
            phases(phase, step + 1, self.sizes[phase])
            return True

        def phase_finish(self, phase: str) -> None:
            phases(phase, self.sizes[phase], self.sizes[phase])

    return Monitor()


def _failed(message: str, hint: str) -> CodiError:
    return CodiError(ErrorCode.BACKEND, f"no engine: {message}", hint)


def _kept(error: CodiError, path: Path | None, lines: list[tuple[int, str]]) -> CodiError:
    """The same error, with the place of the log."""
    if path is None or error.code is not ErrorCode.BACKEND:
        return error
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, log.text(lines).encode())
    return CodiError(error.code, error.message, f"{error.hint}; the builder's log is {path}".removeprefix("; "))
