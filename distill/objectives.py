"""The losses of the two-stage baselines beside CoDi's (README.md 8): plain denoising, GD and CM.

Each maps what `step.codi_loss` maps to the loss and its parts. No gradient reaches a teacher or a target network.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from codi_export.model import prediction
from codi_export.model.denoiser import Denoiser

from . import losses
from .step import CodiConfig, Draw, Models, Sample, Tables, codi_loss, estimate

Result = tuple[Tensor, dict[str, Tensor]]
Objective = Callable[[Models, Tables, Sample, Draw, CodiConfig], Result]


def denoise_loss(models: Models, tables: Tables, sample: Sample, draw: Draw, config: CodiConfig) -> Result:
    """E |o - o_hat|^2, o what the backbone predicts: eps, v or x; so are ControlNets trained (arXiv 2302.05543)."""
    x, t, eps, at = sample.x, draw.t, draw.eps, tables.at(draw.t, sample.x)
    made = estimate(models.student, losses.diffuse(x, eps, *at), t, at, sample)
    kind = models.student.prediction_type
    return _mean(losses.distance(prediction.of(kind, *made, *at), prediction.of(kind, x, eps, *at)), tables, t)


def gd_loss(models: Models, tables: Tables, sample: Sample, draw: Draw, config: CodiConfig) -> Result:
    """E max(SNR, 1) |x_hat_t - x~|^2: one student step for two DDIM steps of the teacher, t to t - gap // 2 to s
    (Guided Distillation, arXiv 2210.03142, algorithm 2, at w = 1)."""
    t, s, at_t = draw.t, draw.s, tables.at(draw.t, sample.x)
    z_t = losses.diffuse(sample.x, draw.eps, *at_t)
    x_t, _ = estimate(models.student, z_t, t, at_t, sample)
    with torch.no_grad():
        middle = t - config.gap // 2
        z_middle = ddim(models.teacher, z_t, t, middle, tables, sample)
        z_s = ddim(models.teacher, z_middle, middle, s, tables, sample)
        wanted = losses.spanning_x(z_t, z_s, *at_t, *tables.at(s, z_s))
    return _mean(losses.truncated_snr(*at_t) * losses.distance(x_t, wanted), tables, t)


def cm_loss(models: Models, tables: Tables, sample: Sample, draw: Draw, config: CodiConfig) -> Result:
    """E |x_hat_t - x_hat_s|^2, x_hat_s of the target network where one DDIM step of the teacher ends
    (Consistency Models, arXiv 2303.01469, algorithm 2). At the clean end, s = -1, the target is that latent itself."""
    t, s, at_t = draw.t, draw.s, tables.at(draw.t, sample.x)
    z_t = losses.diffuse(sample.x, draw.eps, *at_t)
    x_t, _ = estimate(models.student, z_t, t, at_t, sample)
    with torch.no_grad():
        z_s = ddim(models.teacher, z_t, t, s, tables, sample)
        x_s, _ = estimate(models.target, z_s, s.clamp(min=0), tables.at(s, z_s), sample)
        wanted = torch.where((s < 0)[:, None, None, None], z_s, x_s)
    return _mean(losses.distance(x_t, wanted), tables, t)


OBJECTIVES: dict[str, Objective] = {"codi": codi_loss, "denoise": denoise_loss, "gd": gd_loss, "cm": cm_loss}


def ddim(model: Denoiser, z: Tensor, t: Tensor, s: Tensor, tables: Tables, sample: Sample) -> Tensor:
    """Where one DDIM step of `model` leads from z [B, C, h, w] at t to s [B]; s = -1, the clean end, gives x_hat."""
    return losses.next_latent(*estimate(model, z, t, tables.at(t, z), sample), *tables.at(s, z))


def grid(config: CodiConfig) -> CodiConfig:
    """What timesteps are drawn by: `denoise` learns all of them, for its model is asked between the grid's points."""
    return replace(config, L=config.L * config.gap, gap=1) if config.objective == "denoise" else config


def sampler(config: CodiConfig) -> Literal["prev", "ddim"]:
    """The sampler that an adapter names: DDIM where the loss follows the backbone's flow, else the method's choice."""
    return "ddim" if config.objective in ("denoise", "gd") else config.predictor


def _mean(loss: Tensor, tables: Tables, t: Tensor) -> Result:
    noisy = t > tables.alphas.numel() // 2
    return loss.mean(), {"noisy_half": loss[noisy].mean(), "clean_half": loss[~noisy].mean()}
