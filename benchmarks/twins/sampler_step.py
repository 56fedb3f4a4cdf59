"""One sampler update: from a prediction at z to the next latent and the clean estimate."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from codi_export.ops.sampler_step import coefficients

BLOCK = 1024


def sampler_step(
    prediction: Tensor,
    z: Tensor,
    noise: Tensor | None,
    prediction_type: str,
    alpha: float,
    sigma: float,
    mix_x: float,
    mix_z: float,
    mix_noise: float,
    out: tuple[Tensor | None, Tensor | None] | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """(next, estimate), in `out` if it is given; a None in it is not computed."""
    a, b = coefficients(prediction_type, alpha, sigma)
    made = (torch.empty_like(z), torch.empty_like(z)) if out is None else out
    if z.numel():
        constants = (a, b, mix_x * a + mix_z, mix_x * b, mix_noise)
        _step[(triton.cdiv(z.numel(), BLOCK),)](prediction, z, noise, *made, z.numel(), *constants, BLOCK)
    return made


@triton.jit
def _step(
    prediction, z, noise, following, estimate, elements,
    estimate_z, estimate_prediction, next_z, next_prediction, next_noise, block: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = place < elements
    given = tl.load(prediction + place, inside, 0).to(tl.float32)
    at = tl.load(z + place, inside, 0).to(tl.float32)
    then = next_z * at + next_prediction * given
    if noise is not None:
        then += next_noise * tl.load(noise + place, inside, 0).to(tl.float32)
    if following is not None:
        tl.store(following + place, then, inside)
    if estimate is not None:
        tl.store(estimate + place, estimate_z * at + estimate_prediction * given, inside)
