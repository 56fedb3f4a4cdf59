"""Choose what training leaves open, on the validation slice: timesteps for each N, and the back-projection weight.

All lists lie on the training grid t = 20 k - 1. The score is the perceptual distance, averaged over clean and degraded
inputs.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel
from torch import Tensor

from codi_export.model import fuse
from codi_export.spec import AdapterSpec

from .codi import CodiJob
from .data import degrade
from .data.tensors import centre, to_pixels
from .judges import HedVgg, perceptual_features
from .metrics import perceptual_distance

LISTS: dict[int, list[tuple[int, ...]]] = {
    1: [(999,)],
    2: [(999, last) for last in (599, 499, 399, 319, 239, 179, 119)],
    3: [(999, 499, 179), (999, 659, 319), (999, 599, 239), (999, 399, 119)],
    4: [(999, 599, 319, 119), (999, 739, 499, 239), (999, 659, 399, 179), (999, 499, 239, 119)],
}
WEIGHTS = (0.0, 0.3, 0.6, 1.0)


def choose(job: CodiJob, net: ControlNetModel) -> tuple[AdapterSpec, list[dict[str, Any]]]:
    """The adapter's facts with the winners filled in, and every score as rows to be written down."""
    images = np.stack([centre(picture.pixels, 176) for picture in job.held_out])
    small = np.stack(
        [*(degrade.bicubic(image) for image in images), *(_degraded(image, i) for i, image in enumerate(images))]
    )
    judge = Judge(np.concatenate([images, images]))
    rows: list[dict[str, Any]] = []
    best: dict[str, tuple[int, ...]] = {}
    for steps, lists in LISTS.items():
        scored = {ts: judge(job.restore_pictures(net, torch.from_numpy(small), steps, ts)) for ts in lists}
        rows += [{"steps": steps, "timesteps": ts, "perceptual": score} for ts, score in scored.items()]
        best[str(steps)] = min(scored, key=lambda ts: scored[ts])
    two = job.restore_pictures(net, torch.from_numpy(small), 2, best["2"])
    weighted = {weight: judge(_projected(job, two, small, weight)) for weight in WEIGHTS}
    rows += [{"backprojection": weight, "perceptual": score} for weight, score in weighted.items()]
    winner = min(weighted, key=lambda weight: weighted[weight])
    return dataclasses.replace(job.facts(), timesteps=best, backprojection=winner), rows


class Judge:
    """Mean perceptual distance of pictures [B, 3, H, W] in [-1, 1] to the originals, uint8 [B, H, W, 3]."""

    def __init__(self, originals: np.ndarray) -> None:
        self.network = HedVgg()
        self.features = [perceptual_features(self.network, original) for original in originals]

    def __call__(self, pictures: Tensor) -> float:
        return float(np.mean(list(self._distances(pictures))))

    def _distances(self, pictures: Tensor) -> Iterator[float]:
        for picture, reference in zip(pictures, self.features, strict=True):
            yield perceptual_distance(perceptual_features(self.network, to_pixels(picture)), reference).item()


def _projected(job: CodiJob, made: Tensor, small: np.ndarray, weight: float) -> Tensor:
    enlarge = fuse.Enlarge(small.shape[1], small.shape[2], job.task.scale)
    decode = fuse.Decode(job.backbone.vae, enlarge, 1.0)
    signed = torch.from_numpy(small).movedim(-1, 1).float() / 127.5 - 1
    return fuse.back_project(made, signed, enlarge, decode.down_rows, decode.down_columns, weight).clamp(-1, 1)


def _degraded(image: np.ndarray, index: int) -> np.ndarray:
    return degrade.degrade(image, np.random.default_rng(index))
