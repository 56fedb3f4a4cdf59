"""From a bundle on disk to a session."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from codi_export import bundle as bundles
from codi_export import engines, registry
from codi_export.backends import Backend, Runner
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime import inputs
from codi_export.runtime import text as texts
from codi_export.runtime.session import Memory, Session
from codi_export.runtime.text import TextEncoder
from codi_export.spec import Graph, Manifest


@dataclass(frozen=True, slots=True)
class Where:
    """What runs a graph, and in what memory; `load` says what each means."""

    provider: str = "cpu"
    backend: str = "onnxruntime"
    check: bundles.How = "hash"
    threads: int | None = None
    memory: Memory = "private"
    max_memory: int = 0
    plugins: tuple[Path, ...] = ()


def load(
    bundle: str | PathLike[str],
    task: str | None = None,
    steps: int | None = None,
    provider: str = "cpu",
    backend: str = "onnxruntime",
    check: bundles.How = "hash",
    threads: int | None = None,
    memory: Memory = "private",
    max_memory: int = 0,
    plugins: Sequence[Path] = (),
) -> Session:
    """Open one graph of a bundle. `steps` defaults to the first built; `task` may be left out if there is only one.

    `memory="private"` is faster: weights are unpacked for this session. With "shared" all sessions, of any task and in
    any process, read the bundle's files where they are mapped, and a call gives back what it took. `max_memory` bytes
    are the most that ONNX Runtime takes of a GPU, 0 all that it wants; `plugins` are libraries of custom operators that
    an engine needs: they are code, and a bundle is never searched for any.

    Every file is hashed first; `check="size"` looks at sizes only, and the session says so. Raises CodiError.
    """
    folder = Path(bundle)
    manifest = bundles.read_manifest(folder)
    graph = select(manifest, task, steps)
    bundles.check(folder, manifest, check)
    text = None
    if manifest.text_encoder:
        tokenizers = [folder / name for name in (manifest.tokenizer, manifest.tokenizer_2) if name]
        on = ("cpu", "onnxruntime") if registry.get("backends", backend).compiler else (provider, backend)
        text = functools.cache(lambda: texts.load(folder / manifest.text_encoder, tokenizers, *on, threads))
    where = Where(provider, backend, check, threads, memory, max_memory, tuple(plugins))
    return open_graph(folder, graph, where, text)


def select(manifest: Manifest, task: str | None = None, steps: int | None = None) -> Graph:
    """The graph that these choices name. Raises CodiError (unknown-name, bad-option) that lists what there is."""
    tasks = list(dict.fromkeys(graph.task for graph in manifest.graphs))
    if task is None and len(tasks) > 1:
        raise CodiError(
            ErrorCode.BAD_OPTION, f"the bundle has several tasks: {', '.join(tasks)}", f"choose one: --task {tasks[0]}"
        )
    of_task = [graph for graph in manifest.graphs if task in (None, graph.task)]
    if not of_task:
        raise CodiError(
            ErrorCode.UNKNOWN_NAME, f"unknown task '{task}'; this bundle has: {', '.join(tasks)}", "codi-export inspect"
        )
    matching = [graph for graph in of_task if steps in (None, graph.steps)]
    if not matching:
        built = ", ".join(str(graph.steps) for graph in of_task)
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"no graph with {steps} steps; this bundle has: {built}",
            f"codi-export build --steps {steps}",
        )
    return matching[0]


def open_graph(
    folder: Path, graph: Graph, where: Where = Where(), text: Callable[[], TextEncoder] | None = None
) -> Session:
    """A session on files that the caller has checked, by `where.check`."""
    inputs.require_known(graph)
    chosen: Backend = registry.get("backends", where.backend)
    _require_able(chosen, graph, where)
    if chosen.compiler:
        for plugin in where.plugins:
            chosen.compiler.load_plugin(plugin)
        engine = engines.find(folder, bundles.read_manifest(folder), graph, chosen)
        return Session(graph, "gpu", where.backend, where.check, engines.open_(folder, graph, chosen, engine), text)
    lowering, path = graph.lowered(chosen.lowering(where.provider))
    runner = _opened(chosen, folder / path, where)
    return Session(graph, where.provider, where.backend, where.check, runner, text, where.memory, lowering)


def _opened(chosen: Backend, path: Path, where: Where) -> Runner:
    if where.max_memory and chosen.open_within:
        return chosen.open_within(path, where.provider, where.threads, where.max_memory)
    opener = chosen.open_shared if where.memory == "shared" and chosen.open_shared else chosen.open
    return opener(path, where.provider, where.threads)


def _require_able(chosen: Backend, graph: Graph, where: Where) -> None:
    """What is asked of a backend is something that it can do."""
    if graph.precision in chosen.lacks.get(where.provider, ()):
        raise CodiError(
            ErrorCode.BACKEND,
            f"{graph.path} computes in {graph.precision}, for which {chosen.name} has no kernels on provider "
            f"'{where.provider}'",
            "--backend openvino runs it on this CPU, TensorRT on a GPU; a build with --precision fp32 runs anywhere",
        )
    hint = 'leave it out; memory="private" is what every backend has'
    if where.memory == "shared" and chosen.open_shared is None:
        raise CodiError(ErrorCode.BAD_OPTION, f"backend '{chosen.name}' cannot share memory", hint)
    if where.max_memory and (chosen.open_within is None or where.memory == "shared"):
        shared = " that is shared" if where.memory == "shared" else ""
        raise CodiError(ErrorCode.BAD_OPTION, f"backend '{chosen.name}' cannot limit memory{shared}", hint)
    if where.plugins and not chosen.compiler:
        raise CodiError(ErrorCode.BAD_OPTION, f"backend '{chosen.name}' takes no plugins", "TensorRT's engines do")
