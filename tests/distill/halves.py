"""A short CoDi run for test_processes.py: `halves.py PACK BACKBONE OUTPUT BATCH [DIE_AT [MODE [SHARDING]]]`.

Every process draws the whole batch and keeps its share, so that two processes see what one sees with a doubled batch.
"""

import json
import os
import signal
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from codi_export import registry
from distill.adapted import Adapted, AdapterConfig
from distill.codi import CodiJob
from distill.config import DataConfig, TrainConfig
from distill.step import CodiConfig, Draw, draw
from distill.trainer import Batch, train

RANK, WORLD = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class Mortal(CodiJob):
    """Draws as every job does; dies where it is told."""

    die_at = -1

    def stepped(self, module: Adapted, step: int) -> None:
        super().stepped(module, step)
        if step == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)


class Halves(Mortal):
    """Draws the whole and keeps its share."""

    made = drawn = 0

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        self.made += 1
        whole = super().batch(np.random.default_rng(self.made), size * WORLD)
        return {name: value[RANK * size : (RANK + 1) * size] for name, value in whole.items()}

    def draw(self, x: Tensor, rng: torch.Generator) -> Draw:
        self.drawn += 1
        whole = draw(x.repeat(WORLD, 1, 1, 1), self.method, torch.Generator().manual_seed(self.drawn))
        share = slice(RANK * len(x), (RANK + 1) * len(x))
        return Draw(*(getattr(whole, field.name)[share] for field in fields(whole)))


def _elements(parameter: nn.Parameter) -> tuple[int, int]:
    """(held by this process, in all)."""
    held = parameter.to_local() if isinstance(parameter, DTensor) else parameter
    return held.numel(), parameter.numel()


def main(pack: Path, backbone: Path, output: Path, batch: int, die_at: int, mode: Any, sharding: Any) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = DataConfig(held_out_photos=3, held_out_scenes=2, crops=(32,))
    kind = Halves if die_at == -1 else Mortal
    job = kind(
        registry.get("tasks", "sr"),
        AdapterConfig(mode=mode, width=16, trunk=1, attention=False),
        CodiConfig(),
        data,
        pack,
        backbone,
    )
    job.die_at = die_at
    often = TrainConfig(steps=8, batch_size=batch, warmup=1, log_every=1, save_every=3, validate_every=6)
    config = replace(often, sharding=sharding)
    average = train(job, config, output)
    if RANK == 0:
        save_file(average.state_dict(), output / "average.safetensors")
    held = {name: _elements(parameter) for name, parameter in job.module.named_parameters()}
    (output / f"held-{RANK}.json").write_text(json.dumps(held))


if __name__ == "__main__":
    words = sys.argv[5:] + ["-1", "pe", "none"][len(sys.argv) - 5 :]
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]), int(words[0]), words[1], words[2])
