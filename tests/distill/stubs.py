"""Denoisers whose answers are known, on a schedule as the real one, without a network."""

from collections.abc import Callable

import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from codi_export.model.denoiser import Denoiser, tables
from codi_export.spec import PredictionType
from distill import distances
from distill.step import Draw, Models, Sample, Tables

Answer = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # (z, t, alpha, sigma) -> x_hat


class Stub(Denoiser):
    """Answers x_hat = answer(z, t, alpha, sigma) + shift, and the noise that this implies; notes what it was asked.

    `shift` is what is trained, from 0 on.
    """

    def __init__(self, answer: Answer, kind: PredictionType = "v_prediction", shape: tuple[int, ...] = ()) -> None:
        nn.Module.__init__(self)
        self.adapter, self.prediction_type = None, kind
        self.answer = answer
        self.shift = nn.Parameter(torch.zeros(shape))
        self.asked: list[tuple[Tensor, Tensor]] = []  # (z, t)

    def x_eps(
        self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        self.asked.append((z.detach(), t))
        x = self.answer(z, t, alpha, sigma) + self.shift
        return x, (z - alpha * x) / sigma.clamp(min=1e-6)


def gaussian(spread: float) -> Answer:
    """The posterior mean of x for data N(0, spread^2)."""
    return lambda z, t, alpha, sigma: alpha * spread**2 / ((alpha * spread) ** 2 + sigma**2) * z


def models(student: Denoiser, target: Denoiser, teacher: Denoiser) -> Models:
    return Models(student, target, teacher, distances.latent)


def schedule() -> Tables:
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", rescale_betas_zero_snr=True
    )
    cumulative = scheduler.alphas_cumprod.double()
    return Tables(*tables(cumulative.sqrt(), (1 - cumulative).sqrt()))


def sample(x: Tensor) -> Sample:
    """Latents x [B, C, h, w]; a stub looks at nothing else."""
    return Sample(x, x, x, x, x)


def drawn(x: Tensor, t: list[int], gap: int = 20, seed: int = 0) -> Draw:
    """The draw at timesteps t [B]."""
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return Draw(torch.tensor(t), torch.tensor(t) - gap, eps, torch.ones(len(t)))
