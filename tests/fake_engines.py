"""A runtime whose engines are a few bytes: what it is asked for, and what it answers, is up to the test."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from codi_export import registry
from codi_export.backends import Arrays, Backend, Built, Compiler, Device, EngineOptions, Phases, Runner
from codi_export.errors import CodiError, ErrorCode
from tests import fake_bundle

ORIN = Device("Orin", 87, "CUDA 12.6", 8 * 10**9)


@dataclass
class Runtime:
    """`asked`: the graphs and options of every build; `wrong`: engines that give black pictures."""

    version: str = "10.3.0"
    device: Device | None = ORIN
    wrong: bool = False
    fail_at: str = ""
    asked: list[tuple[str, EngineOptions]] = field(default_factory=list)
    refitted: list[str] = field(default_factory=list)
    plugins: list[Path] = field(default_factory=list)
    opened_with: list[Path] = field(default_factory=list)  # graphs whose weights a stripped engine was given

    def backend(self) -> Backend:
        compiler = Compiler(
            version=lambda: self.version,
            device=self._device,
            build=self._build,
            refit=self._refit,
            open_stripped=self._open_stripped,
            load_plugin=self.plugins.append,
            timing_cache=True,
        )
        return Backend("tensorrt", lambda: ("gpu",), self._open, compiler=compiler)

    def install(self, monkeypatch: object) -> None:
        """Let `registry.get` answer with it."""
        real: Callable[[str, str], object] = registry.get

        def get(kind: str, name: str) -> object:
            return self.backend() if (kind, name) == ("backends", "tensorrt") else real(kind, name)

        monkeypatch.setattr(registry, "get", get)  # type: ignore[attr-defined]

    def _device(self) -> Device:
        if self.device is None:
            raise CodiError(ErrorCode.BACKEND, "no NVIDIA GPU that CUDA can use")
        return self.device

    def _build(self, path: Path, options: EngineOptions, phases: Phases) -> Built:
        self.asked.append((path.stem, options))
        phases("Building engine", 1, 1)
        if path.stem == self.fail_at:
            raise CodiError(ErrorCode.BACKEND, "no engine: out of memory")
        return Built(f"engine of {path.stem}".encode(), {"gemm": 3})

    def _refit(self, engine: Path, graph: Path) -> bytes:
        self.refitted.append(engine.name)
        return b"engine of " + graph.read_bytes()[:4]

    def _open_stripped(self, engine: Path, graph: Path) -> Runner:
        self.opened_with.append(graph)
        return self._open(engine, "gpu", None)

    def _open(self, path: Path, provider: str, threads: int | None) -> Runner:
        assert path.read_bytes().startswith(b"engine of ")

        def run(inputs: Arrays) -> Arrays:
            image, noise = inputs["image"], inputs["noise"]
            output = fake_bundle.reference(image.astype(np.uint8), noise.astype(np.float32))
            return {"output": np.zeros_like(output) if self.wrong else output}

        return run


def other(device: Device, sm: int) -> Device:
    """The same, of another kind."""
    return replace(device, sm=sm)
