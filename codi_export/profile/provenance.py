"""What was measured, and what ran it."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codi_export import __version__, files, machine
from codi_export import bundle as bundles
from codi_export.backends import Backend
from codi_export.backends.nvidia import providers
from codi_export.profile.result import Runtime, Subject
from codi_export.profile.sensors import Sensor
from codi_export.spec import Graph, Manifest

ENVIRONMENT = ("OMP_", "MKL_", "OPENBLAS_", "ORT_", "CUDA_", "NVIDIA_", "TENSORRT_", "KMP_")
CPU_BACKENDS = ("onnxruntime", "openvino", "openvino-bf16")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which graph of a bundle, on what. None is the session's own default. `target`: whose data sheet the rooflines are
    computed from; None finds it, or measures a CPU."""

    task: str | None = None
    steps: int | None = None
    provider: str = "cpu"
    backend: str = "onnxruntime"
    threads: int | None = None
    target: str | None = None

    @property
    def on_cpu(self) -> bool:
        """Whether there is one memory only."""
        return self.provider == "cpu" and self.backend in CPU_BACKENDS


def subject(folder: Path, manifest: Manifest, graph: Graph, backend: Backend) -> Subject:
    """The graph, and the bytes of the files that it reads: not other graphs', nor other tasks' adapters."""
    others = {one.path for one in manifest.graphs} - {graph.path}
    tasks = {one.task for one in manifest.graphs} - {graph.task}
    unread = others | {f"graphs/{task}.safetensors" for task in tasks}
    read = [one for one in manifest.files if one.path.startswith("graphs/") and not one.path.endswith(".json")]
    return Subject(
        name=folder.resolve().name,
        sha256=files.sha256(folder / bundles.MANIFEST),
        graph=graph.name,
        task=graph.task,
        steps=graph.steps,
        precision=backend.precision or graph.precision,
        sampler=graph.sampler,
        timesteps=tuple(step.t for step in graph.schedule.steps),
        inputs=graph.inputs,
        outputs=graph.outputs,
        model_bytes=sum(one.bytes for one in read if one.path not in unread),
    )


def runtime(choice: Choice, graph: Graph, backend: Backend, sensors: Sequence[Sensor]) -> Runtime:
    """Versions and switches; those that a runtime does not have are None."""
    versions = {name: found for name in machine.PACKAGES if (found := machine.version(name))}
    return Runtime(
        tool=f"codi-export {__version__}",
        backend=choice.backend,
        provider=choice.provider,
        threads=choice.threads,
        lowering=graph.lowered(backend.lowering(choice.provider))[0],
        versions={"python": platform.python_version(), **versions},
        cuda_graph=_cuda_graph(choice),
        spin_wait=True if choice.backend == "onnxruntime" and choice.on_cpu else None,  # its default
        transfers="none" if choice.on_cpu else ("excluded" if backend.bind else "included"),
        driver=next((sensor.facts.driver for sensor in sensors if sensor.facts.driver), None),
        environment={name: value for name, value in sorted(os.environ.items()) if name.startswith(ENVIRONMENT)},
    )


def _cuda_graph(choice: Choice) -> bool | None:
    if choice.backend != "onnxruntime" or choice.on_cpu:
        return None
    options = providers.PROVIDERS[choice.provider].options
    return any("cuda_graph" in name and value == "1" for name, value in options.items())
