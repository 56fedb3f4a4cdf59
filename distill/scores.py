"""How good a trained arm is: the figures of every picture that is kept for judging, at every list of timesteps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codi_export.model import backbone as bb
from codi_export.model.denoiser import Denoiser
from codi_export.spec import AdapterSpec

from . import diagnostics, metrics
from .adapted import Adapted
from .arms import LISTS, Arm, load
from .choose import Judge
from .codi import CodiJob
from .data import crops, pictures
from .data.tensors import to_pixels, to_signed
from .judges import MobileNetV2, kid_features

KID_PICTURES = 200  # fewer say nothing: the estimate's own spread is as large as the differences
PRIOR_TIMESTEPS = (699, 299)
DIGITS = 5

Figures = dict[str, Any]  # metric -> one figure a picture; "kid" -> one for all, or None


def judged(arm: Arm, data: Path, limit: int) -> list[pictures.Picture]:
    """The first `limit` pictures that an arm is judged on, shrunk as it is trained on them."""
    found = load(data, arm.judged_on, pictures.reading(arm.data))[:limit]
    low, high = arm.data.scale
    return [_shrunk(picture, arm) for picture in found] if low == high else found


def score(job: CodiJob, module: Adapted, arm: Arm, kept: list[pictures.Picture], seed: int) -> dict[str, Any]:
    """Figures by list of timesteps and by way to make the condition. `seed` decides the noise, for all arms alike."""
    job.hold_out(kept, arm.side)
    seen, figures = job.seen(), judge(job.originals())
    return {
        name: {
            kind: figures(job.make_pictures(module, condition, len(LISTS[name]), at(job.facts(), name), seed))
            for kind, condition in seen.items()
        }
        for name in arm.lists
    }


def judge(originals: pictures.Pixels) -> Callable[[Tensor], Figures]:
    """What maps results, [B, 3, H, W] in [-1, 1], to their figures beside the originals, uint8 [B, H, W, 3]."""
    data, distances = to_signed(originals), Judge(list(originals))
    network = MobileNetV2() if len(originals) >= KID_PICTURES else None
    reference = kid_features(network, originals) if network else None

    def figures(made: Tensor) -> Figures:
        levels = np.stack([to_pixels(picture) for picture in made])
        kid = metrics.kid(kid_features(network, levels), reference) if network and reference is not None else None
        return {**of_pictures(made, levels, data, originals), "perceptual": rounded(distances(made)), "kid": kid}

    return figures


@torch.no_grad()
def prior(job: CodiJob, module: Adapted) -> float:
    """How well the U-Net still denoises without the adapter: mean squared error of its v on the pictures held out, with
    their captions, at PRIOR_TIMESTEPS. Parameter-efficient training leaves it as it was."""
    unet = module.unet or job.backbone.unet
    alone = Denoiser(unet, None, job.backbone.prediction_type)
    x = bb.encode(job.backbone.vae, to_signed(job.originals()))
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    prompt, errors = job.prompt([picture.caption for picture in job.held_out]), []
    for t in PRIOR_TIMESTEPS:
        alpha, sigma = job.tables.alphas[t], job.tables.sigmas[t]
        estimate, _ = alone.x_eps(alpha * x + sigma * eps, torch.tensor(t), alpha, sigma, prompt, None)
        errors.append(((estimate - x) / sigma).square().mean())  # x = alpha z - sigma v
    return float(torch.stack(errors).mean())


def at(facts: AdapterSpec, name: str) -> AdapterSpec:
    """The same adapter, sampled at a list of LISTS."""
    return replace(facts, timesteps={str(len(LISTS[name])): LISTS[name]})


def of_pictures(made: Tensor, levels: pictures.Pixels, data: Tensor, originals: pictures.Pixels) -> Figures:
    """PSNR in dB, and by how much chroma and clipped share exceed the original's (`diagnostics`), of each picture.

    The same pictures twice, [B, 3, H, W] in [-1, 1] and uint8 [B, H, W, 3].
    """
    pairs = list(zip(levels, originals, strict=True))
    excess = {
        measure.__name__: [measure(one[None]) - measure(other[None]) for one, other in zip(made, data, strict=True)]
        for measure in (diagnostics.chroma, diagnostics.clipped)
    }
    psnr = [metrics.psnr_db(*pair) for pair in pairs]
    return {"psnr_db": rounded(psnr), **{name: rounded(values) for name, values in excess.items()}}


def rounded(values: Any) -> list[float]:
    """To five significant digits: what is committed should not be noise."""
    return [float(f"{value:.{DIGITS}g}") for value in values]


def parameters(module: torch.nn.Module) -> int:
    """Weights that are trained."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _shrunk(picture: pictures.Picture, arm: Arm) -> pictures.Picture:
    views = picture.decoded().views
    still = np.random.default_rng(0)  # decides nothing: a scene is no larger than what is shrunk to a crop
    return replace(picture, views=tuple(crops.crop(views, arm.side, still, arm.data.scale)))  # type: ignore[arg-type]
