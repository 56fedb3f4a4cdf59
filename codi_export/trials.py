"""What a graph is tried on while it is built, and what becomes of that."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from codi_export import apart, zoo
from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import store
from codi_export.graph.ranges import Outputs
from codi_export.graph.rounding import imitate_bf16
from codi_export.graph.unroll import probes
from codi_export.parity import Outcome
from codi_export.recipe import Recipe
from codi_export.runtime.image import READABLE
from codi_export.runtime.noise import normal
from codi_export.spec import Precision, Schedule

Inputs = dict[str, NDArray[Any]]  # of one call, by name

SEEDS = (0, 1)  # two, so that a graph that ignores its noise is found out
PICTURES = 32  # of a calibration folder, the first by name


def trials_of(recipe: Recipe) -> list[Inputs]:
    """The zoo's photo at the input's size, its centre masked, once with the noise of each seed."""
    return [_trial(recipe, zoo.PHOTO, seed) for seed in SEEDS]


def calibration_of(recipe: Recipe) -> list[Inputs]:
    """What ranges are measured on: the pictures of the folder that the options name, each with noise of its own; else
    the same as `trials_of`. Raises CodiError (bad-data, missing-file)."""
    if not recipe.spec.calibration:
        return trials_of(recipe)
    folder = Path(recipe.spec.calibration)
    if not folder.is_dir():
        raise CodiError(
            ErrorCode.MISSING_FILE, f"--calibration {folder} is no folder", "pictures as the task takes them"
        )
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in READABLE)[:PICTURES]
    if not found:
        raise CodiError(
            ErrorCode.BAD_DATA, f"--calibration {folder} holds no pictures", f"expected {', '.join(sorted(READABLE))}"
        )
    return [_trial(recipe, path, seed) for seed, path in enumerate(found)]


def run_graph(path: Path, schedule: Schedule, trials: Sequence[Inputs], precision: Precision) -> list[Outcome]:
    """The file itself gives the 8-bit picture; a copy with further outputs, over the same weights, gives the rest. In
    bfloat16, which has no kernels here, the copy imitates it and gives both."""
    if precision == "bf16":
        return outcomes(probe(path, schedule, trials, imitate_bf16), schedule)
    levels = [one["output"] for one in apart.run(path, trials)]
    return list(outcomes(probe(path, schedule, trials), schedule, levels))


def probe(
    path: Path,
    schedule: Schedule,
    trials: Sequence[Inputs],
    *rewrites: Callable[[Any], None],
) -> Outputs:
    """All outputs of a rewritten copy of the graph that shows its latents and its float picture too."""
    copy = path.with_suffix(".probe.onnx")
    store.save_probe(path, copy, probes(schedule), *rewrites)
    outputs = apart.run(copy, trials)
    copy.unlink()
    return outputs


def outcomes(outputs: Outputs, schedule: Schedule, levels: Sequence[NDArray[np.uint8]] = ()) -> list[Outcome]:
    """What `probe` gave, as it is compared; `levels` in place of its own 8-bit pictures."""
    *steps, picture = probes(schedule)
    given = levels or [one["output"] for one in outputs]
    return [
        Outcome(level, one[picture], [one[name] for name in steps]) for level, one in zip(given, outputs, strict=True)
    ]


def _trial(recipe: Recipe, path: Path, seed: int) -> Inputs:
    batch, height, width, _ = recipe.image_shape
    with Image.open(path) as file:
        photo = ImageOps.fit(file.convert("RGB"), (width, height))
    mask = np.zeros((batch, height, width, 1), np.uint8)
    mask[:, height // 4 : -height // 4, width // 4 : -width // 4] = 255
    trial = {
        "image": np.repeat(np.asarray(photo)[None], batch, axis=0),
        "mask": mask,
        "noise": normal(seed, recipe.noise_shape),
        **{name: tensor.numpy() for name, tensor in recipe.prompt.batch(batch).items()},
        "adapter_scale": np.array(1 - (seed % 2) / 2, np.float32),
    }
    return {spec.name: trial[spec.name] for spec in recipe.inputs}
