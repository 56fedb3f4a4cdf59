"""Two adapters that were trained apart, summed, each looking at its own condition: `depth` and `canny` on scenes.

Nothing is trained. What the sum makes is compared with what each makes alone and with the backbone's own pictures, as
the experiments compare: paired by picture and by seed, which here is a draw of the noise.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from codi_export import machine
from codi_export.files import write
from codi_export.model import fuse, text
from codi_export.model.denoiser import Denoiser
from codi_export.model.step import Step
from codi_export.recipe import Recipe, prepare
from codi_export.runtime.noise import normal
from codi_export.spec import BuildSpec

from . import candidates, evaluate, experiment, findings, markdown, plots, scores
from .data.conditions import canny, given
from .data.pictures import Pixels
from .evaluate import Tile
from .experiments import Experiment, compare, entries
from .judges import PERCEPTUAL_NAME
from .trials import Trial

TASKS = ("depth", "canny")
ARMS = {  # what each task's additions are multiplied by; times 0 they are as good as absent
    "no adapter": (0.0, 0.0),
    "depth": (1.0, 0.0),
    "canny": (0.0, 1.0),
    "both": (1.0, 1.0),
    "half of each": (0.5, 0.5),
}
STEPS = (1, 2, 4)
BATCH = 20

_LISTS, _METRICS = tuple(map(str, STEPS)), ("perceptual", "psnr_db")
EXPERIMENT = Experiment(
    question="Do the adapters for depth and for edges, trained apart, make more of a scene together than alone?",
    entries=entries(tuple(ARMS), _LISTS),
    comparisons=tuple(
        comparison
        for both in ("both", "half of each")
        for alone in TASKS
        for comparison in compare(both, alone, _LISTS, _METRICS)
    ),
    metrics=(*_METRICS, "chroma"),
)


class EachItsOwn(nn.Module):
    """Conditions of several adapters as one: their pictures lie side by side in the channels."""

    def __init__(self, conditions: Sequence[fuse.Condition]) -> None:
        super().__init__()
        self.conditions = nn.ModuleList(conditions)

    def forward(self, image: Tensor, prompt: Tensor, mask: None = None) -> tuple[Tensor, ...]:
        """image uint8 [B, H, W, 3 n], prompt [B, T, D] -> as `fuse.Condition`, embeddings in the order of adapters."""
        pairs = zip(self.conditions, image.chunk(len(self.conditions), dim=3), strict=True)
        made = [condition(own, prompt) for condition, own in pairs]
        return *(part for *embedded, _ in made for part in embedded), made[0][-1]


def summed(recipes: Sequence[Recipe], scales: Sequence[float]) -> fuse.Pieces:
    """The pipeline of the first recipe, steered by the adapters of all."""
    first, *others = (recipe.adapters[0].net for recipe in recipes)
    backbone = recipes[0].backbone
    denoiser = Denoiser(backbone.unet, first, backbone.prediction_type, others, scales)
    apart = [recipe.pieces() for recipe in recipes]
    condition: Any = EachItsOwn([one.condition for one in apart])  # called as a `fuse.Condition`
    return replace(apart[0], condition=condition, step=Step(denoiser))


def seen(tiles: Sequence[Tile]) -> Pixels:
    """A depth map and the edges beside it in the channels, for each scene.  # [B, H, W, 6]"""

    def both(target: Pixels, brought: Pixels | None, rng: np.random.Generator) -> Pixels:
        return np.dstack([given(target, brought, rng), canny(target, brought, rng)])

    return np.stack(evaluate.conditions(tiles, both, seed=0))


def make(
    recipes: Sequence[Recipe], scales: Sequence[float], steps: int, conditions: Pixels, prompt: Tensor, seed: int
) -> Tensor:
    """Pictures [B, 3, H, W] in [-1, 1] of conditions [B, H, W, 3 n] and prompts [B, T, D]; the first recipe decides on
    timesteps and sampler."""
    first, count = recipes[0], len(conditions)
    pieces, schedule = summed(recipes, scales), first.schedules[first.spec.steps.index(steps)]
    noise = torch.from_numpy(normal(seed, (count, *first.noise_shape[1:])))
    batches = zip(*(torch.split(whole, BATCH) for whole in (torch.from_numpy(conditions), noise, prompt)), strict=True)
    return torch.cat(
        [fuse.run(pieces, schedule, first.sampler, image, z, None, words)[1] for image, z, words in batches]
    )


def score(recipes: Sequence[Recipe], tiles: Sequence[Tile], seeds: Sequence[int]) -> findings.Scores:
    """Every arm at every number of steps, as a trial's scores."""
    figures, conditions = scores.judge(np.stack([tile.pixels for tile in tiles])), seen(tiles)
    prompt = text.embed(recipes[0].backbone.folder, [tile.caption for tile in tiles]).words
    found: findings.Scores = {}
    for arm, seed in tqdm([(arm, seed) for seed in seeds for arm in ARMS], disable=None):
        lists = {
            str(steps): {"scenes": figures(make(recipes, ARMS[arm], steps, conditions, prompt, seed))}
            for steps in STEPS
        }
        found[Trial(arm, seed)] = {"arm": arm, "seed": seed, "lists": lists}
    return found


def run(data: Path, output: Path, pictures: int, seeds: Sequence[int]) -> Path:
    """Write together.json, together.md and together.png into `output`, and return the page. Raises CodiError
    (bad-data)."""
    recipes = [prepare(BuildSpec(task, STEPS)) for task in TASKS]
    tiles = evaluate.cut_folder(data, recipes[0].size[0], candidates.reading(TASKS[0]))[:pictures]
    found = findings.of(EXPERIMENT, score(recipes, tiles, seeds))
    plans = zip(_LISTS, recipes[0].schedules, strict=True)
    lists = {name: [step.t for step in schedule.steps] for name, schedule in plans}
    about: dict[str, Any] = {
        **machine.conditions(),
        "question": EXPERIMENT.question,
        "seeds": list(seeds),
        "lists": lists,
        "scales": {arm: dict(zip(TASKS, scales, strict=True)) for arm, scales in ARMS.items()},
        "pictures": [tile.photo for tile in tiles],
    }
    page = output / "together.md"
    output.mkdir(parents=True, exist_ok=True)
    write(page.with_suffix(".json"), experiment.lines({**about, **findings.answers(found)}).encode())
    write(page, _page(found, about).encode())
    plots.draw(found, page.with_suffix(".png"))
    return page


def _page(found: findings.Findings, about: dict[str, Any]) -> str:
    lists = "; ".join(f"*{name}* {', '.join(map(str, ts))}" for name, ts in about["lists"].items())
    parts = [
        f"# {EXPERIMENT.question}",
        "The adapters of `mini`, each looking at its own condition; nothing was trained for this. *both*: the sum of "
        "what they add; *half of each*: half of it; *no adapter*: the backbone and the caption alone. The first "
        f"{len(about['pictures'])} scenes, with their captions.",
        *markdown.answers(found, trained=False),
        f"Lists of timesteps: {lists}.",
        "Means and 95 % intervals over seeds, which are draws of the noise, and scenes. perceptual: "
        f"{PERCEPTUAL_NAME}. A verdict needs an interval of the difference without 0 and Holm's p below .05 over all "
        "comparisons of this page.",
    ]
    return "\n\n".join(parts) + "\n"
