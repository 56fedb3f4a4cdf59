"""The torch pipeline on numpy arrays: what a graph is compared with."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from codi_export.model import fuse
from codi_export.model.storage import computing_in_float32
from codi_export.samplers import Sampler
from codi_export.spec import Schedule

Floats = NDArray[np.float32]


def run(
    pieces: fuse.Pieces, schedule: Schedule, sampler: Sampler, inputs: dict[str, NDArray[Any]]
) -> tuple[NDArray[np.uint8], Floats, tuple[Floats, ...]]:
    """An engine's inputs by name, `image` [B, H, W, 3], `noise` [B, C, h, w] and the task's others (`fuse.run`) ->
    uint8 [B, H', W', 3], the same as floats [B, 3, H', W'], every x."""
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with computing_in_float32(pieces.condition):  # it holds all the networks
        levels, picture, latents = fuse.run(pieces, schedule, sampler, **tensors)
    return levels.numpy(), picture.numpy(), tuple(x.numpy() for x in latents)
