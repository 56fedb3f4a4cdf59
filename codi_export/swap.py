"""Put another adapter into a finished bundle: one file is written anew, no graph is touched, no torch is needed."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from codi_export import bundle, files, schedule
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import LORA, UNET, WEIGHTS, licence, read_facts
from codi_export.spec import QUANTIZED, AdapterSpec, Graph, Manifest

DTYPES = {"F32": np.float32, "F16": np.float16}


def swap(folder: Path, adapter: Path, task: str = "") -> Manifest:
    """Give the graphs of `task` the adapter in the folder `adapter`; a bundle of one task need not be told which.

    What it computes then is what a build with that adapter computes, and the first adapter swapped back gives the first
    bytes back. Raises CodiError (bad-option, bad-model, missing-file, hash-mismatch, write-failed) and changes nothing
    for an adapter of another shape or one that a build would have unrolled differently.
    """
    manifest = bundle.read_manifest(folder)
    task = _task(manifest, task, folder)
    graphs = [graph for graph in manifest.graphs if graph.task == task]
    if not adapter.is_dir():
        raise CodiError(ErrorCode.MISSING_FILE, f"no adapter at {adapter}", "expected a folder in diffusers layout")
    facts = read_facts(adapter) or AdapterSpec(task)
    if manifest.own_unet:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder} was built with an adapter that has a U-Net of its own, or changes to it",
            "no other adapter was made for that U-Net: build a bundle with this one",
        )
    if any(graph.precision in QUANTIZED for graph in graphs):
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"{folder} has task '{task}' in {graphs[0].precision}, which was measured with its adapter",
            "build it with the new one",
        )
    if any(len(build.adapters) > 1 for build in manifest.builds if build.task == task):
        raise CodiError(
            ErrorCode.BAD_OPTION, f"{folder} sums several adapters for task '{task}'", "build it with the new ones"
        )
    _require_same_graph(facts, manifest.adapters[task], graphs, adapter)
    path = f"graphs/{task}.safetensors"
    entry = next(entry for entry in manifest.files if entry.path == path)
    bundle.check_file(folder, entry, "size")  # its content goes; so a swap that was killed can be repeated
    files.write(folder / path, _rewritten(folder / path, adapter))
    swapped = replace(
        manifest,
        adapters=manifest.adapters | {task: facts},
        files=tuple(bundle.file_entry(folder, path) if one is entry else one for one in manifest.files),
        licences=manifest.licences | {task: licence(adapter)},
    )
    bundle.write_manifest(folder, swapped)
    return swapped


def _task(manifest: Manifest, task: str, folder: Path) -> str:
    tasks = list(manifest.adapters)
    if task in tasks:
        return task
    if task or len(tasks) > 1:
        said = f"{folder} has no task '{task}'" if task else f"{folder} has several tasks"
        raise CodiError(ErrorCode.BAD_OPTION, said, f"--task is one of {', '.join(tasks)}")
    return tasks[0]


def _require_same_graph(new: AdapterSpec, old: AdapterSpec, graphs: list[Graph], adapter: Path) -> None:
    """A build with the new adapter would make the same graphs."""
    baked = ("task", "condition", "trunk", "reads", "backprojection")
    wanted = [(name, getattr(new, name), getattr(old, name)) for name in baked]
    for graph in graphs:
        chosen = [*schedule.timesteps(graph.steps, new)[0]]
        wanted.append((f"timesteps for {graph.steps} steps", chosen, [step.t for step in graph.schedule.steps]))
    for name in (UNET, LORA):
        wanted.append((name, (adapter / name).exists(), False))
    for what, has, needs in wanted:
        if has != needs:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{adapter} has {what} = {has!r}; the graphs were built for {needs!r}",
                "build a bundle with it: codi-export build --adapter",
            )


def _rewritten(path: Path, adapter: Path) -> Iterator[bytes]:
    """The file at `path` with the adapter's tensors in place of its own. Raises CodiError (bad-model) before the first
    byte if they are not of the same names and shapes."""
    header, entries = files.header(path)
    try:
        source: Any = safe_open(adapter / WEIGHTS, framework="numpy")
        names = {f"adapter.{name}": name for name in list(source.keys())}
        shapes = {ours: source.get_slice(name).get_shape() for ours, name in names.items()}
    except (OSError, SafetensorError) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{adapter / WEIGHTS} does not load: {error}",
            "expected an adapter in diffusers layout, whole",
        ) from error
    _require_same_tensors(entries, shapes, adapter)
    ordered = sorted(entries.items(), key=lambda item: item[1]["data_offsets"])
    tensors = (np.asarray(source.get_tensor(names[name]), DTYPES[entry["dtype"]]) for name, entry in ordered)
    return chain([header], (tensor.tobytes() for tensor in tensors))


def _require_same_tensors(entries: dict[str, Any], shapes: dict[str, list[int]], adapter: Path) -> None:
    for name in sorted(entries.keys() ^ shapes.keys()):
        who = "the bundle's" if name in entries else "the new"
        raise CodiError(ErrorCode.BAD_MODEL, f"{adapter}: only {who} adapter has '{name}'", "both must be of one shape")
    for name, shape in shapes.items():
        if shape != entries[name]["shape"]:
            raise CodiError(
                ErrorCode.BAD_MODEL,
                f"{adapter}: '{name}' is {shape}; the bundle's adapter has {entries[name]['shape']}",
                "both must be of one shape",
            )
