"""One CoDi micro-batch, in the order of README.md 3."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from codi_export.model.denoiser import Denoiser, as_coefficient

from . import losses


@dataclass(frozen=True, slots=True)
class CodiConfig:
    """The method's choices (README.md 3 and 5).

    `L` grid points `gap` timesteps apart, t = gap k - 1; `weight` is lambda, `target_decay` gamma.
    """

    predictor: Literal["prev", "ddim"] = "prev"
    loss_space: Literal["eps", "x"] = "eps"
    weight: float = 0.3
    L: int = 50
    gap: int = 20
    same_t_per_batch: bool = False
    target_decay: float = 0.99


@dataclass(frozen=True, slots=True)
class Tables:
    """alpha and sigma by timestep, with the clean end (1, 0) appended so that index -1 reads it."""

    alphas: Tensor
    sigmas: Tensor

    def at(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha, sigma) at timesteps t [B], shaped to broadcast over like [B, C, h, w]."""
        return as_coefficient(self.alphas, t, like), as_coefficient(self.sigmas, t, like)


def draw_timesteps(count: int, config: CodiConfig, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(t, s), each [B]: k in 1..L, one stratum per sample or one k for all; s = -1 is the clean end."""
    if config.same_t_per_batch:
        k = torch.randint(1, config.L + 1, (1,), generator=rng, device=rng.device).expand(count)
    else:
        place = (torch.arange(count, device=rng.device) + torch.rand(count, generator=rng, device=rng.device)) / count
        k = 1 + (place * config.L).long().clamp(max=config.L - 1)
    t = config.gap * k - 1
    return t, t - config.gap


def codi_loss(
    student: Denoiser,
    target: Denoiser,
    tables: Tables,
    x: Tensor,
    prompt: Tensor,
    condition: Tensor,
    config: CodiConfig,
    rng: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_c + lambda L_g for clean latents x [B, C, h, w], prompt [B, T, D] and condition image; and its parts.

    No gradient reaches z_s, the target's estimates or the data.
    """
    t, s = draw_timesteps(len(x), config, rng)
    eps = torch.randn(x.shape, generator=rng, device=x.device)
    alpha_t, sigma_t = tables.at(t, x)
    alpha_s, sigma_s = tables.at(s, x)
    z_t = losses.diffuse(x, eps, alpha_t, sigma_t)
    x_t, eps_t = student.x_eps(z_t, t, alpha_t, sigma_t, prompt, student.embed_condition(condition))
    with torch.no_grad():
        noise = eps if config.predictor == "prev" else eps_t
        z_s = losses.next_latent(x_t, noise, alpha_s, sigma_s)
        x_s, eps_s = target.x_eps(z_s, s.clamp(min=0), alpha_s, sigma_s, prompt, target.embed_condition(condition))
    clean = s < 0
    consistent_x = losses.consistency_x(
        x_t, torch.where(clean[:, None, None, None], x, x_s)
    )  # at s = -1 the target is the data
    consistent = (
        consistent_x
        if config.loss_space == "x"
        else torch.where(clean, consistent_x, losses.consistency_eps(eps_t, eps_s))
    )
    guided = losses.guidance(x_t, x)
    noisy = t > tables.alphas.numel() // 2
    parts = {
        "consistency": consistent.mean(),
        "guidance": guided.mean(),
        "guidance_noisy": guided[noisy].mean(),
        "guidance_clean": guided[~noisy].mean(),
    }
    return (consistent + config.weight * guided).mean(), parts
