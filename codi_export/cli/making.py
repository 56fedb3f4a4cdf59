"""What `build` makes, and what it says of it."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codi_export import machine
from codi_export.cli import terminal
from codi_export.records import to_json
from codi_export.spec import BuildSpec, Graph, Manifest

if TYPE_CHECKING:
    from codi_export.graph.cache import Cache
    from codi_export.recipe import Recipe

Report = tuple[dict[str, Any], list[str]]  # for machines, for people
Stages = Callable[[str, int, int], None]  # what comes next, stages done, stages in all


def make(specs: Sequence[BuildSpec], folder: Path, fuse: str, overwrite: bool, no_cache: bool, explain: bool) -> Report:
    """A bundle, or for `fuse` "none" a folder of components, each graph compared with torch; and what that took."""
    from codi_export.graph.cache import Cache, default

    cache, start = Cache(None) if no_cache else default(), time.perf_counter()
    write = _components if fuse == "none" else _bundle
    with terminal.progress(f"build {folder}") as draw:
        report, lines = write(specs, folder, overwrite, _stages(draw), cache)
    _warn(report.get("graphs", ()))
    seconds, memory = time.perf_counter() - start, machine.peak_bytes()
    report |= {"seconds": round(seconds, 1), "peak_rss_bytes": memory}
    report["reused"] = [lookup.piece for lookup in cache.lookups if lookup.reused]
    if explain:
        report["explain"] = [{"piece": one.piece, "reused": one.reused, "reason": one.reason} for one in cache.lookups]
        for one in cache.lookups:
            terminal.say(f"{one.piece}: {'reused' if one.reused else 'traced'}: {one.reason}")
    size = terminal.size(report["bytes"])
    return report, [*lines, f"{folder}  {size}  {seconds:.0f} s  {terminal.size(memory)} of memory"]


def _bundle(specs: Sequence[BuildSpec], folder: Path, overwrite: bool, progress: Stages, cache: "Cache") -> Report:
    from codi_export.builder import build_specs

    manifest = build_specs(specs, folder, overwrite, progress, cache)
    size = sum(entry.bytes for entry in manifest.files)
    report = {"bytes": size, "graphs": [_graph_json(manifest, graph) for graph in manifest.graphs]}
    return report, [f"{graph.path}  {graph.parity.image_psnr_db:.0f} dB from torch" for graph in manifest.graphs]


def _components(specs: Sequence[BuildSpec], folder: Path, overwrite: bool, progress: Stages, cache: "Cache") -> Report:
    from codi_export import components

    facts = components.write(specs, folder, overwrite, progress, cache)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    report = {"bytes": size, "components": [to_json(one) for one in facts.components]}
    return report, [f"{folder / one.name}  {one.rms:.0e} from torch, relative RMS" for one in facts.components]


def plan(specs: Sequence[BuildSpec]) -> Report:
    """What would be made; nothing is written."""
    from codi_export.recipe import prepare

    recipes = [prepare(spec) for spec in specs]
    graphs = [_plan_json(recipe, index) for recipe in recipes for index in range(len(recipe.schedules))]
    _warn(graphs)
    lines = [f"{one['task']}  {one['steps']} steps  {one['sampler']} at t = {one['timesteps']}" for one in graphs]
    for recipe in recipes:
        inputs = " + ".join(f"{spec.name} {[*spec.shape]}" for spec in recipe.inputs)
        lines.append(f"{recipe.task.name}  {inputs} -> {[*recipe.output_shape]}")
    size = recipes[0].backbone_bytes + sum(recipe.adapter_bytes for recipe in recipes)
    return {"bytes": size, "graphs": graphs}, [*lines, f"weights  {terminal.size(size)}"]


def _stages(draw: Callable[[int, int], None]) -> Stages:
    """A bar on a terminal, a line per stage elsewhere."""

    def show(stage: str, done: int, total: int) -> None:
        draw(done, total)
        if not sys.stderr.isatty():
            terminal.say(f"{done}/{total} {stage}")

    return show


def _warn(graphs: Iterable[dict[str, Any]]) -> None:
    for graph in graphs:
        for warning in graph["warnings"]:
            terminal.say(f"warning: {graph['task']}, {graph['steps']} steps: {warning}")


def _graph_json(manifest: Manifest, graph: Graph) -> dict[str, Any]:
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    return {
        "task": graph.task,
        "steps": graph.steps,
        "sampler": graph.sampler,
        "precision": graph.precision,
        "path": graph.path,
        "bytes": sizes[graph.path],
        "parity_db": graph.parity.image_psnr_db,
        "warnings": graph.warnings,
        "lowerings": graph.lowerings,
    }


def _plan_json(recipe: "Recipe", index: int) -> dict[str, Any]:
    schedule = recipe.schedules[index]
    return {
        "task": recipe.task.name,
        "steps": len(schedule),
        "sampler": recipe.sampler.name,
        "precision": recipe.precision,
        "timesteps": [step.t for step in schedule.steps],
        "warnings": recipe.warnings(len(schedule)),
    }
