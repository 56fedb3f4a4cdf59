"""Choose what training leaves open, on the validation slice: timesteps for each N, and the back-projection weight.

All lists lie on the training grid t = 20 k - 1. The score is the perceptual distance as a share of bicubic's, averaged
over clean and degraded inputs: degraded ones are three times as far off, and would decide alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codi_export.model import fuse
from codi_export.spec import AdapterSpec

from .codi import Adapted, CodiJob
from .data import degrade
from .data.pictures import Pixels
from .data.tensors import centre, to_pixels, to_signed
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
    images = np.stack([centre(picture.pixels, 176) for picture in job.held_out])
    clean = [degrade.bicubic(image) for image in images]
    worn = [degrade.degrade(image, np.random.default_rng(index)) for index, image in enumerate(images)]
    small = torch.from_numpy(np.stack([*clean, *worn]))
    judge = Judge([*images, *images])
    bicubic = judge(fuse.Enlarge(small.shape[1], small.shape[2], job.task.scale)(to_signed(small.numpy())).clamp(-1, 1))
    facts, rows = replace(job.facts(), backprojection=1.0), list[dict[str, Any]]()

    def split(values: Floats) -> tuple[Floats, Floats]:
        return values[: len(clean)], values[len(clean) :]

    def score(tried: AdapterSpec, steps: int) -> float:
        values = judge(job.restore_pictures(module, small, steps, tried))
        shares = [
            float(ours.mean() / theirs.mean()) for ours, theirs in zip(split(values), split(bicubic), strict=True)
        ]
        used = {"steps": steps, "timesteps": tried.timesteps[str(steps)], "backprojection": tried.backprojection}
        rows.append({**used, "clean": round(shares[0], 4), "degraded": round(shares[1], 4)})
        return sum(shares) / 2

    for steps, lists in LISTS.items():
        tries = [replace(facts, timesteps={**facts.timesteps, str(steps): ts}) for ts in lists]
        facts = min(tries, key=lambda tried: score(tried, steps))
    facts = min((replace(facts, backprojection=weight) for weight in WEIGHTS), key=lambda tried: score(tried, 2))
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
