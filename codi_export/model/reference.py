"""The torch pipeline on numpy arrays: what a graph is compared with."""

import numpy as np
import torch
from numpy.typing import NDArray

from codi_export.model import fuse
from codi_export.samplers import Sampler
from codi_export.spec import Schedule

Floats = NDArray[np.float32]


def run(
    pieces: fuse.Pieces, schedule: Schedule, sampler: Sampler, image: NDArray[np.uint8], noise: Floats
) -> tuple[NDArray[np.uint8], Floats, tuple[Floats, ...]]:
    """image [B, H, W, 3], noise [B, C, h, w] -> uint8 [B, H', W', 3], the same as floats [B, 3, H', W'], every x."""
    tensors = torch.from_numpy(image), torch.from_numpy(noise)
    levels, picture, latents = fuse.run(pieces, schedule, sampler, *tensors)
    return levels.numpy(), picture.numpy(), tuple(x.numpy() for x in latents)
