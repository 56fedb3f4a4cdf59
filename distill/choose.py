"""Choose what training leaves open, on the validation slice: timesteps for each N, and the back-projection weight.

All lists lie on the training grid t = 20 k - 1. The score is the perceptual distance, averaged over clean and degraded
inputs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codi_export.spec import AdapterSpec

from .codi import Adapted, CodiJob
from .data import degrade
from .data.pictures import Pixels
from .data.tensors import centre, to_pixels
from .judges import HedVgg, perceptual_features
from .metrics import perceptual_distance

LISTS: dict[int, list[tuple[int, ...]]] = {  # from all at the noisy end to the even list of distill/README.md 5
    1: [(999,)],
    2: [(999, 979), (999, 899), (999, 799), (999, 499), (999, 239)],
    3: [(999, 979, 959), (999, 939, 879), (999, 799, 599), (999, 659, 319)],
    4: [(999, 979, 959, 939), (999, 939, 879, 819), (999, 859, 719, 599), (999, 739, 499, 239)],
}
WEIGHTS = (0.0, 0.5, 1.0)


def choose(job: CodiJob, module: Adapted) -> tuple[AdapterSpec, list[dict[str, Any]]]:
    """The adapter's facts with the winners filled in, and every score as rows to be written down."""
    images = np.stack([centre(picture.pixels, 176) for picture in job.held_out])
    clean = [degrade.bicubic(image) for image in images]
    worn = [degrade.degrade(image, np.random.default_rng(index)) for index, image in enumerate(images)]
    small = torch.from_numpy(np.stack([*clean, *worn]))
    judge = Judge([*images, *images])
    facts, rows = replace(job.facts(), backprojection=1.0), list[dict[str, Any]]()

    def score(tried: AdapterSpec, steps: int) -> float:
        value = judge(job.restore_pictures(module, small, steps, tried))
        used = {"steps": steps, "timesteps": tried.timesteps[str(steps)], "backprojection": tried.backprojection}
        rows.append({**used, "perceptual": round(value, 4)})
        return value

    for steps, lists in LISTS.items():
        tries = [replace(facts, timesteps={**facts.timesteps, str(steps): ts}) for ts in lists]
        facts = min(tries, key=lambda tried: score(tried, steps))
    facts = min((replace(facts, backprojection=weight) for weight in WEIGHTS), key=lambda tried: score(tried, 2))
    return facts, rows


class Judge:
    """Mean perceptual distance of pictures [B, 3, H, W] in [-1, 1] to the originals, uint8 [H, W, 3] each."""

    def __init__(self, originals: Sequence[Pixels]) -> None:
        self.network = HedVgg()
        self.features = [perceptual_features(self.network, original) for original in originals]

    def __call__(self, pictures: Tensor) -> float:
        return float(np.mean(list(self._distances(pictures))))

    def _distances(self, pictures: Tensor) -> Iterator[float]:
        for picture, reference in zip(pictures, self.features, strict=True):
            yield perceptual_distance(perceptual_features(self.network, to_pixels(picture)), reference).item()
