from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from codi_export import registry
from distill import choose
from distill.adapted import AdapterConfig
from distill.codi import CodiJob
from distill.config import DataConfig
from distill.step import CodiConfig


class SquaredError:
    """A judge that needs no network."""

    def __init__(self, originals: list[np.ndarray]) -> None:
        self.originals = torch.from_numpy(np.stack(originals)).movedim(-1, 1) / 127.5 - 1

    def __call__(self, pictures: Tensor) -> np.ndarray:
        return (pictures - self.originals).square().mean(dim=(1, 2, 3)).numpy()


def test_the_winners_of_every_round_are_kept(pack: Path, toy_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "Judge", SquaredError)
    data = DataConfig(held_out_photos=1, held_out_scenes=1, crops=(32,))
    job = CodiJob(registry.get("tasks", "sr"), AdapterConfig(width=16), CodiConfig(), data, pack, toy_backbone)
    facts, rows = choose.choose(job, job.module)
    lists, weights = rows[: -len(choose.WEIGHTS)], rows[-len(choose.WEIGHTS) :]
    best = min(weights, key=lambda row: row["bicubic"] + row["degraded"])
    assert facts.backprojection == best["backprojection"] > 0  # an untrained adapter needs what the photo says
    assert {row["timesteps"] for row in weights} == {facts.timesteps["2"]}
    for steps, tried in choose.LISTS.items():
        scores = {row["timesteps"]: row["bicubic"] + row["degraded"] for row in lists if row["steps"] == steps}
        assert set(scores) == set(tried)
        assert scores[facts.timesteps[str(steps)]] == min(scores.values())
