"""One CoDi micro-batch, in the order of README.md 3."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from codi_export.model.denoiser import Denoiser, as_coefficient, guided

from . import losses


@dataclass(frozen=True, slots=True)
class CodiConfig:
    """The method's choices (README.md 3 and 5); `objective` names another loss (README.md 8), `teacher` the folder of a
    frozen adapter, in place of the backbone without one. A loss ignores what it does not use.

    `weight` is lambda, `distance` what L_g measures with; `guidance` the range of the scale that the target is guided
    at; `L` grid points `gap` timesteps apart, t = gap k - 1, drawn with a density that grows as k^(noise_bias - 1): 1
    is even, more favours the noisy end, where sampling in few steps begins; `target_decay` is gamma.
    """

    objective: Literal["codi", "denoise", "gd", "cm"] = "codi"
    teacher: str = ""
    predictor: Literal["prev", "ddim"] = "prev"
    ode_model: Literal["online", "ema", "teacher"] = "online"
    loss_space: Literal["eps", "x"] = "eps"
    distance: Literal["latent", "weighted", "pixel", "perceptual"] = "latent"
    weight: float = 0.3
    guidance: tuple[float, float] = (1.0, 1.0)
    L: int = 50
    gap: int = 20
    noise_bias: float = 1.0
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


@dataclass(frozen=True, slots=True)
class Sample:
    """Clean latents x [B, C, h, w] of `picture` [B, 3, H, W] in [-1, 1], the condition image, and the embeddings of the
    prompt and of the empty prompt [B, T, D]."""

    x: Tensor
    picture: Tensor
    condition: Tensor
    prompt: Tensor
    empty: Tensor


Distance = Callable[[Tensor, Sample], Tensor]  # (x_hat, sample) -> [B]


@dataclass(frozen=True, slots=True)
class Models:
    """Who is asked: theta, theta-minus, and what is frozen: the backbone without an adapter, or an adapter too."""

    student: Denoiser
    target: Denoiser
    teacher: Denoiser
    distance: Distance


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance decides: timesteps t and s [B] (s = -1 is the clean end), noise [B, C, h, w], guidance scale [B]."""

    t: Tensor
    s: Tensor
    eps: Tensor
    scale: Tensor


def draw(x: Tensor, config: CodiConfig, rng: torch.Generator) -> Draw:
    """A draw for latents like x [B, C, h, w]."""
    t = draw_timesteps(len(x), config, rng)
    eps = torch.randn(x.shape, generator=rng, device=x.device)
    low, high = config.guidance
    scale = low + (high - low) * torch.rand(len(x), generator=rng, device=x.device)
    return Draw(t, t - config.gap, eps, scale)


def draw_timesteps(count: int, config: CodiConfig, rng: torch.Generator) -> Tensor:
    """gap k - 1 [B] with k in 1..L, one stratum per sample or one k for all."""
    strata = 1 if config.same_t_per_batch else count
    place = (torch.arange(strata, device=rng.device) + torch.rand(strata, generator=rng, device=rng.device)) / strata
    k = 1 + (place ** (1 / config.noise_bias) * config.L).long().clamp(max=config.L - 1)
    return (config.gap * k - 1).expand(count)


def codi_loss(
    models: Models, tables: Tables, sample: Sample, draw: Draw, config: CodiConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_c + lambda L_g, and its parts. No gradient reaches z_s, the target's estimates or the data."""
    x, t, s, eps = sample.x, draw.t, draw.s, draw.eps
    at_t, at_s = tables.at(t, x), tables.at(s, x)
    z_t = losses.diffuse(x, eps, *at_t)
    x_t, eps_t = estimate(models.student, z_t, t, at_t, sample)
    with torch.no_grad():
        x_ode, eps_ode = ode_estimate(models, z_t, t, at_t, sample, (x_t, eps_t), config)
        z_s = losses.next_latent(x_ode, eps if config.predictor == "prev" else eps_ode, *at_s)
        x_s, eps_s = target_estimate(models.target, z_s, s.clamp(min=0), at_s, sample, draw.scale)
    clean = s < 0  # there the target is the data: eps has no meaning where sigma is 0
    consistent_x = losses.consistency_x(x_t, torch.where(clean[:, None, None, None], x, x_s))
    consistent_eps = losses.consistency_eps(eps_t, eps_s)
    consistent = torch.where(clean, consistent_x, consistent_eps) if config.loss_space == "eps" else consistent_x
    guided_by = models.distance(x_t, sample)
    noisy = t > tables.alphas.numel() // 2
    parts = {
        "consistency": consistent.mean(),
        "guidance": guided_by.mean(),
        "guidance_noisy": guided_by[noisy].mean(),
        "guidance_clean": guided_by[~noisy].mean(),
    }
    return (consistent + config.weight * guided_by).mean(), parts


Coefficients = tuple[Tensor, Tensor]  # alpha, sigma
Estimate = tuple[Tensor, Tensor]  # x_hat, eps_hat


def estimate(model: Denoiser, z: Tensor, t: Tensor, at: Coefficients, sample: Sample) -> Estimate:
    """The adapted model's estimates at (z, t), for the sample's own prompt."""
    return model.x_eps(z, t, *at, sample.prompt, model.embed_condition(sample.condition, sample.prompt))


def ode_estimate(
    models: Models, z: Tensor, t: Tensor, at: Coefficients, sample: Sample, online: Estimate, config: CodiConfig
) -> Estimate:
    """The estimates that take z_t to z_s (README.md 3, step 3): the student's own, the target network's, or those of
    the teacher, which sees no condition if it is the backbone alone."""
    match config.ode_model:
        case "online":
            return online
        case "ema":
            return estimate(models.target, z, t, at, sample)
        case "teacher":
            return estimate(models.teacher, z, t, at, sample)


def target_estimate(model: Denoiser, z: Tensor, s: Tensor, at: Coefficients, sample: Sample, scale: Tensor) -> Estimate:
    """The target network's estimates, led away from the empty prompt by `scale` [B]; 1 leaves them alone.

    Only the target is guided. The student cannot see the scale, so it learns the mean of what guidance makes of its
    own prediction; L_g on a guided student would train the guidance away (README.md 3, step 4).
    """
    prompted = estimate(model, z, s, at, sample)
    if bool((scale == 1).all()):
        return prompted
    plain, w = estimate(model, z, s, at, replace(sample, prompt=sample.empty)), scale[:, None, None, None]
    return guided(prompted[0], plain[0], w), guided(prompted[1], plain[1], w)


def advice(config: CodiConfig) -> str | None:
    """A warning for settings that are known to diverge, with the knob to turn (README.md 3)."""
    own_error = config.predictor == "prev" and config.loss_space == "x" and config.ode_model != "teacher"
    if config.objective == "codi" and own_error and config.weight < 1:
        return (
            f"predictor prev with loss_space x, ode_model {config.ode_model} and weight {config.weight:g} feeds the "
            "model its own full error without an anchor and tends to diverge: set ode_model to teacher, or weight to 1"
        )
    return None
