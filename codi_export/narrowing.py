"""Traced pieces -> pieces that compute in the precision that was asked for, but for what would suffer there.

Ranges are measured on the float32 graph, over all steps, on the calibration pictures. What a narrower type costs is
measured too: in the picture, with one part of the network narrowed at a time. Those parts stay wide: the islands.
"""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codi_export import apart, parity, planner, registry
from codi_export.backends import Backend
from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import cost, passes, ranges, store
from codi_export.graph.export import Exported
from codi_export.graph.ranges import Outputs
from codi_export.graph.rounding import imitate_bf16
from codi_export.graph.unroll import unroll
from codi_export.planner import Workload
from codi_export.recipe import Recipe
from codi_export.spec import QUANTIZED, Parity, Precision, Schedule, Tolerance
from codi_export.targets import TargetSpec
from codi_export.trials import Inputs, calibration_of, outcomes, probe

WINDOW = 0.5  # of the limits, for the pictures that ranges are measured on: others may fare worse
SHARES = (1 / 4, 1 / 16, 1 / 64)  # of the window that one part may use up, tried in turn
LARGEST: dict[Precision, float] = {  # that may occur on the pictures at hand: others have larger values
    "fp16": 65504 / 4,
    "bf16": math.inf,
}
FASTER = 0.95  # of the time in float32: what is gained must be worth the difference in the picture
EQUAL = 1.03  # a race of equals errs by so much
SMALLER = 0.8  # of the bytes, where time is equal
SHOWN = 4  # islands in a message; `inspect` names all
FOLDER, GRAPH = "narrowing", "graph.onnx"

Passes = Sequence[passes.Pass]
Spent = Callable[[frozenset[str]], float]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """`islands`: modules and values that compute in a wider type; `speed`: backend -> CPU time over that of float32."""

    exported: Exported
    islands: tuple[str, ...] = ()
    speed: dict[str, float] = field(default_factory=dict)


def narrow(recipe: Recipe, exported: Exported, folder: Path, say: Callable[[str], None] = lambda _: None) -> Narrowed:
    """Narrow the pieces, which are traced in float32 and are not used again. `folder` of the bundle takes graphs that
    are gone afterwards. Raises CodiError (parity, no-gain) if the precision costs too much or gains nothing."""
    if recipe.precision == "fp32":
        _run(exported, passes.precision("fp32"))
        return Narrowed(exported)
    work = _Work(recipe, exported, folder / FOLDER, say)
    try:
        return work.quantized() if recipe.precision in QUANTIZED else work.halved()
    finally:
        shutil.rmtree(work.folder, ignore_errors=True)


def search(names: Iterable[str], spent: Spent, known_islands: frozenset[str] = frozenset()) -> frozenset[str]:
    """The fewest of the modules `names` that have to stay as they are, beside those that are known. `spent(islands)`:
    how much of the limits is used up when all but `islands` is narrowed, 1 for all of it. Raises CodiError (parity).

    A part is judged alone, with all others wide, and is taken apart only if it spends more than its share.
    """
    known: dict[frozenset[str], float] = {}

    def cached(islands: frozenset[str]) -> float:
        if islands not in known:
            known[islands] = spent(islands)
        return known[islands]

    leaves = sorted(set(names))
    if cached(found := known_islands) <= WINDOW:
        return found
    for share in SHARES:
        found = known_islands | set(_costly("", known_islands, leaves, share * WINDOW, cached))
        if cached(found) <= WINDOW:
            return found
    raise CodiError(
        ErrorCode.PARITY,
        f"with {len(found)} of {len(leaves)} layers left in float the graph still spends {cached(found):.1f} times its "
        "limits",
        "--min-psnr lowers the limit, --calibration takes pictures of your own; or another --precision",
    )


def spends(found: Parity, limit: Tolerance) -> float:
    """How much of the limits a difference uses up, in squared error: 1 is all of it."""
    picture = 10 ** ((limit.image_psnr_db - found.image_psnr_db) / 10)
    return max(picture, float((found.latent_rms / limit.latent_rms) ** 2))


def _costly(group: str, outside: frozenset[str], leaves: Sequence[str], share: float, spent: Spent) -> Iterator[str]:
    """Those of `leaves`, the layers in `group`, that spend more than `share` when all `outside` stays wide."""
    if group and spent(outside) <= share:
        return
    if [*leaves] == [group]:
        yield group
        return
    children = _children(group, leaves)
    for child, inside in children.items():
        yield from _costly(child, outside | (children.keys() - {child}), inside, share, spent)


def _children(group: str, leaves: Sequence[str]) -> dict[str, list[str]]:
    """The next parts below `group` that differ, with the layers in each."""
    depth = len(group.split(".")) if group else 0
    while True:
        depth += 1
        parts: dict[str, list[str]] = {}
        for leaf in leaves:
            parts.setdefault(".".join(leaf.split(".")[:depth]), []).append(leaf)
        if len(parts) > 1 or [*parts] == [*leaves]:
            return parts


@dataclass(frozen=True, slots=True)
class _Work:
    recipe: Recipe
    exported: Exported
    folder: Path
    say: Callable[[str], None]

    def halved(self) -> Narrowed:
        """In float16 or bfloat16. What overflows is known from the ranges; more is looked for only if limits are not
        kept without that."""
        name, schedule = self.recipe.precision, self._schedule
        trials = calibration_of(self.recipe)
        trials = trials if self.recipe.spec.calibration else trials[:1]
        wide, outputs = self._measured(trials)
        reference = outcomes(outputs, schedule)
        sizes = ranges.largest(wide, outputs)
        large = frozenset(node for node, size in sizes.items() if size > LARGEST[name])
        rewrites = (imitate_bf16,) if name == "bf16" else ()

        def spent(islands: frozenset[str]) -> float:
            path = self._written("narrow", passes.precision(name, islands))
            figures = parity.compare(outcomes(probe(path, schedule, trials, *rewrites), schedule), reference)
            return self._judged(islands, figures)

        islands = self._searched(ranges.largest_read(wide, outputs), spent, large)
        _run(self.exported, passes.precision(name, islands))
        return Narrowed(self.exported, tuple(sorted(islands)))

    def quantized(self) -> Narrowed:
        """In int8, and in float16 around it on a GPU; or only stored in int8."""
        name = self.recipe.precision
        target: TargetSpec = registry.get("targets", self.recipe.spec.target or "cpu")
        half, schedule = bool(target.sm), self._schedule
        trials = calibration_of(self.recipe)
        wide, outputs = self._measured(trials)
        if half:
            self._require_faster_on(target, wide)
        reference = outcomes(outputs, schedule)
        largest = ranges.largest_read(wide, outputs)

        def spent(islands: frozenset[str]) -> float:
            path = self._written("narrow", passes.precision(name, islands, largest, half))
            figures = parity.compare(outcomes(probe(path, schedule, trials), schedule), reference)
            return self._judged(islands, figures)

        islands = self._searched(largest, spent)
        chosen = passes.precision(name, islands, largest, half)
        narrow = self._written("narrow", chosen)
        if name == "int8-weights":
            self._require_smaller(narrow)
        speed = {} if half else self._raced(narrow, trials[0])
        _run(self.exported, chosen)
        return Narrowed(self.exported, tuple(sorted(islands)), speed)

    def _searched(
        self, names: Iterable[str], spent: Spent, known_islands: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """`search`, and what it is about."""
        limit = self.recipe.tolerance
        decibels, rms = limit.image_psnr_db - 10 * math.log10(WINDOW), limit.latent_rms * math.sqrt(WINDOW)
        wanted = f"at least {decibels:.1f} dB from float32, latents within {rms:.1e}"
        self.say(f"which parts must stay wide in {self.recipe.precision}? wanted: {wanted}")
        islands = search(names, spent, known_islands)
        self.say(f"stay wide: {_listed(islands)}")
        return islands

    def _judged(self, islands: frozenset[str], found: Parity) -> float:
        self.say(f"{found.image_psnr_db:.1f} dB, latents within {found.latent_rms:.1e}: {_listed(islands)} wide")
        return spends(found, self.recipe.tolerance)

    @property
    def _schedule(self) -> Schedule:
        """The longest: differences add up over steps."""
        return max(self.recipe.schedules, key=len)

    def _measured(self, trials: Sequence[Inputs]) -> tuple[Any, Outputs]:
        """The float32 graph, and what its copy with ranges gives."""
        path = self._written("wide", passes.precision("fp32"))
        return store.load(path), probe(path, self._schedule, trials, ranges.add_ranges)

    def _written(self, name: str, chosen: Passes) -> Path:
        """The longest graph of copies of the pieces, after these passes; what was there under the name goes."""
        condition, step, decode = (piece.clone() for piece in self.exported.models)
        copies = Exported(condition, step, decode, self.exported.prompt)
        _run(copies, chosen)
        model = unroll(copies, self._schedule, self.recipe.sampler, name)
        path = self.folder / name / GRAPH
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir(parents=True)
        store.save_weights([model], path.parent, self.recipe.task.name)
        store.save(model, path)
        return path

    def _raced(self, narrow: Path, inputs: Inputs) -> dict[str, float]:
        """CPU time over that of float32, in every runtime here that gives a picture inside the limits. Raises CodiError
        (no-gain) if that is too much in all of them."""
        found = {}
        for name in registry.names("backends"):
            backend: Backend = registry.get("backends", name)
            if backend.compiler is None:
                with suppress(CodiError):  # a runtime that is not installed, or cannot run here
                    found[name] = apart.race((self.folder / "wide" / GRAPH, narrow), inputs, name)
        said = ", ".join(f"{name} {ratio:.2f} times its time ({db:.0f} dB)" for name, (ratio, db) in found.items())
        self.say(f"against float32 in the same runtime: {said}")
        speed = {name: ratio for name, (ratio, db) in found.items() if db >= self.recipe.tolerance.image_psnr_db}
        name = self.recipe.precision
        most = EQUAL if name == "int8-weights" else FASTER
        if min(speed.values(), default=math.inf) > most:
            raise CodiError(
                ErrorCode.NO_GAIN,
                f"{name} may take {most:g} of fp32's time; no runtime here is as fast with a good picture: {said}",
                "--precision fp32; OpenVINO may gain where onnxruntime does not: pip install 'codi-export[openvino]'",
            )
        return speed

    def _require_smaller(self, narrow: Path) -> None:
        """Raises CodiError (no-gain)."""
        wide = self.folder / "wide" / GRAPH
        before, after = (sum(file.stat().st_size for file in path.parent.iterdir()) for path in (wide, narrow))
        said = f"{after / 1e6:.1f} MB with its weights, {before / 1e6:.1f} MB with weights in float16"
        self.say(f"the graph takes {said}")
        if after > SMALLER * before:
            raise CodiError(ErrorCode.NO_GAIN, f"int8-weights saves too little: {said}", "--precision fp32")

    def _require_faster_on(self, target: TargetSpec, wide: Any) -> None:
        """By the plan: no such machine is here. Raises CodiError (no-gain)."""
        work = Workload("wide", len(self._schedule), "fp32", cost.weight_bytes(wide), cost.count(wide))
        half, eighth = (planner.plan(work, target, precision) for precision in ("fp16", "int8"))
        before, after = (sum(stage.roofline_ms for stage in one.stages) for one in (half, eighth))
        self.say(f"on {target.device} at least {after:.3g} ms in int8, {before:.3g} ms in fp16: computed, not measured")
        if after > FASTER * before:
            raise CodiError(
                ErrorCode.NO_GAIN,
                f"int8 gains nothing on {target.device}: at least {after:.3g} ms, {before:.3g} ms in fp16",
                "--precision fp16",
            )


def _listed(islands: frozenset[str]) -> str:
    """The first few by name, and how many more."""
    first, more = sorted(islands)[:SHOWN], max(len(islands) - SHOWN, 0)
    return ", ".join([*first, *([f"{more} more"] if more else [])]) or "nothing"


def _run(exported: Exported, chosen: Passes) -> None:
    for piece in exported.models:
        passes.run(piece, chosen)
