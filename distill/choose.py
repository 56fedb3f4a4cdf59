"""Choose what training leaves open, on the validation slice: timesteps for each N, and the back-projection weight.

All lists lie on the training grid t = 20 k - 1. The score is the perceptual distance as a share of the condition's own
(of bicubic enlargement, for `sr`), averaged over the ways to make a condition: degraded photos are three times as far
off as clean ones, and would decide alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from codi_export.spec import AdapterSpec

from .adapted import Adapted
from .codi import CodiJob
from .data.pictures import Pixels
from .data.tensors import to_pixels
from .judges import HedVgg, perceptual_features
from .metrics import Floats, perceptual_distance

LISTS: dict[int, list[tuple[int, ...]]] = {  # from all at the noisy end to the even list of distill/README.md 5
    1: [(999,)],
    2: [(999, 979), (999, 899), (999, 799), (999, 499), (999, 239)],
    3: [(999, 979, 959), (999, 939, 879), (999, 799, 599), (999, 659, 319)],
    4: [(999, 979, 959, 939), (999, 939, 879, 819), (999, 859, 719, 599), (999, 739, 499, 239)],
}
WEIGHTS = (0.0, 0.5, 1.0)


def choose(job: CodiJob, module: Adapted) -> tuple[AdapterSpec, list[dict[str, Any]]]:
    """The adapter's facts with the winners filled in, and every score as rows to be written down."""
    judge = Judge(list(job.originals()))
    seen = job.seen()
    untouched = {name: judge(job.enlarged(condition).clamp(-1, 1)).mean() for name, condition in seen.items()}
    weights = WEIGHTS if job.task.scale > 1 else (0.0,)
    facts, rows = replace(job.facts(), backprojection=weights[-1]), list[dict[str, Any]]()

    def score(tried: AdapterSpec, steps: int) -> float:
        shares = {
            name: float(judge(job.make_pictures(module, condition, steps, tried)).mean() / untouched[name])
            for name, condition in seen.items()
        }
        used = {"steps": steps, "timesteps": tried.timesteps[str(steps)], "backprojection": tried.backprojection}
        rows.append({**used, **{name: round(share, 4) for name, share in shares.items()}})
        return sum(shares.values()) / len(shares)

    for steps, lists in LISTS.items():
        tries = [replace(facts, timesteps={**facts.timesteps, str(steps): ts}) for ts in lists]
        facts = min(tries, key=lambda tried: score(tried, steps))
    facts = min((replace(facts, backprojection=weight) for weight in weights), key=lambda tried: score(tried, 2))
    return facts, rows


class Judge:
    """Perceptual distances [B] of pictures [B, 3, H, W] in [-1, 1] to the originals, uint8 [H, W, 3] each."""

    def __init__(self, originals: Sequence[Pixels]) -> None:
        self.network = HedVgg()
        self.features = [perceptual_features(self.network, original) for original in originals]

    def __call__(self, pictures: Tensor) -> Floats:
        return np.array(list(self._distances(pictures)))

    def _distances(self, pictures: Tensor) -> Iterator[float]:
        for picture, reference in zip(pictures, self.features, strict=True):
            yield perceptual_distance(perceptual_features(self.network, to_pixels(picture)), reference).item()
