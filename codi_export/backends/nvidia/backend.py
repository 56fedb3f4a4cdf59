"""The `Backend` record of a TensorRT module."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codi_export.backends import Backend, Built, Compiler, EngineOptions, Phases, Runner
from codi_export.backends.nvidia import cuda
from codi_export.backends.nvidia.build import build
from codi_export.backends.nvidia.plugins import load_plugin
from codi_export.backends.nvidia.run import open_engine, refit
from codi_export.errors import CodiError, ErrorCode


def backend(name: str, module: str, package: str, timing_cache: bool) -> Backend:
    """`module` is imported when it is needed; `package` is what its absence is told with."""
    load = _loader(name, module, package)

    def build_engine(path: Path, options: EngineOptions, phases: Phases) -> Built:
        return build(load(), path, options, phases)

    def open_path(path: Path, provider: str, threads: int | None) -> Runner:
        return open_engine(load(), path)

    def providers() -> tuple[str, ...]:
        load()
        return ("gpu",) if cuda.available() else ()

    def refit_engine(engine: Path, graph: Path) -> bytes:
        return refit(load(), engine, graph)

    def open_stripped(engine: Path, graph: Path) -> Runner:
        return open_engine(load(), engine, graph)

    compiler = Compiler(
        version=lambda: version(load()),
        device=cuda.device,
        build=build_engine,
        refit=refit_engine,
        open_stripped=open_stripped,
        load_plugin=lambda library: load_plugin(load(), library),
        timing_cache=timing_cache,
    )
    return Backend(name, providers, open_path, compiler=compiler)


def version(trt: Any) -> str:
    """Three numbers: what an engine depends on."""
    return ".".join(str(trt.__version__).split(".")[:3])


def _loader(name: str, module: str, package: str) -> Callable[[], Any]:
    def load() -> Any:
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
            raise CodiError(
                ErrorCode.MISSING_PACKAGE,
                f"{name} is not installed: no module named {module}",
                f"pip install '{package}'; on a Jetson it comes with JetPack: apt-get install python3-libnvinfer",
            ) from error

    return load
