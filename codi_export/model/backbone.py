"""The frozen parts of a diffusers folder: U-Net, VAE, scheduler."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import scaled
from codi_export.model import limits, lora
from codi_export.model.parts import Weights, load_part, vae_class
from codi_export.spec import PredictionType

VAES = {"full": "vae", "tiny": "vae_tiny"}  # --vae -> the model's own folder of it


@dataclass(frozen=True, slots=True)
class Backbone:
    """A loaded backbone, in eval mode. `alphas` and `sigmas` are float64 [T], indexed by timestep."""

    folder: Path
    unet: UNet2DConditionModel
    vae: nn.Module
    alphas: Tensor
    sigmas: Tensor
    prediction_type: PredictionType

    @property
    def latent_channels(self) -> int:
        return int(self.unet.config.in_channels)

    @property
    def latent_factor(self) -> int:
        """Pixels per latent pixel, along each side."""
        config: Any = self.vae.config
        levels = (
            config.encoder_block_out_channels if "encoder_block_out_channels" in config else config.block_out_channels
        )
        return int(2 ** (len(levels) - 1))

    @property
    def unet_factor(self) -> int:
        """Latent pixels per pixel of the U-Net's lowest level, along each side."""
        return int(2 ** (len(self.unet.config.block_out_channels) - 1))

    @property
    def image_size(self) -> int:
        """The side, in pixels, of the square image that the U-Net was trained for."""
        return int(self.unet.config.sample_size) * self.latent_factor


def load(folder: Path, loras: Sequence[str] = (), vae: str = "full", weights: Weights = "float32") -> Backbone:
    """Load a diffusers folder, with what the files `loras` change, each `FILE` or `FILE:SCALE`, and with the VAE that
    `vae` names: `full`, `tiny`, or a folder. Raises CodiError (bad-model) that names the part and the fault."""
    _refuse_transformer(folder)
    scheduler = load_scheduler(folder)
    unet = load_part(UNet2DConditionModel, folder / "unet", weights)
    if unet.config.in_channels != unet.config.out_channels:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder}: U-Net with {unet.config.in_channels} inputs, {unet.config.out_channels} outputs; expected as "
            "many",
            "inpainting and instruction U-Nets read more than the latent; adapters steer ordinary ones",
        )
    for file, scale in map(scaled, loras):
        lora.merge(unet, file, scale)
    cumulative = scheduler.alphas_cumprod.double()
    return Backbone(
        folder=folder,
        unet=unet,
        vae=_load_vae(vae_folder(folder, vae), unet, weights),
        alphas=cumulative.sqrt(),
        sigmas=(1 - cumulative).sqrt(),
        prediction_type=cast(PredictionType, scheduler.config.prediction_type),
    )


def vae_folder(folder: Path, vae: str) -> Path:
    """Where the VAE of `--vae` lies."""
    return folder / VAES[vae] if vae in VAES else Path(vae)


def _load_vae(folder: Path, unet: UNet2DConditionModel, weights: Weights) -> nn.Module:
    if not folder.is_dir():
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"there is no VAE in {folder}",
            "--vae takes a folder in diffusers layout, TAESD's for instance; `tiny` is the model's own vae_tiny/",
        )
    vae = load_part(vae_class(folder), folder, weights)
    has, wants = vae.config.latent_channels, unet.config.in_channels
    if has != wants:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder}: a VAE with {has} latent channels; the U-Net reads {wants}",
            "use the VAE that the U-Net was trained with, or a tiny one that was made for it",
        )
    return cast(nn.Module, vae)


def load_scheduler(folder: Path) -> DDPMScheduler:
    """The noise schedule of a diffusers folder, whatever scheduler class it names; raises CodiError (bad-model)."""
    file = folder / "scheduler" / "scheduler_config.json"
    try:
        config = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder} is not a backbone: {error}",
            "expected a diffusers folder with scheduler/, unet/ and vae/",
        ) from error
    if not {"beta_start", "beta_end", "beta_schedule"} <= config.keys() and not config.get("trained_betas"):
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{file}: a {config.get('_class_name')} has no betas",
            "expected a noise schedule of betas; flow matching and EDM noise have none",
        )
    limits.require_expressible("DDPMScheduler", config, file)
    return DDPMScheduler.from_config(config)


def scale_shift(vae: nn.Module) -> tuple[float, float]:
    """(scale, shift) such that the U-Net sees (latent - shift) * scale."""
    config: Any = vae.config
    return float(config.get("scaling_factor") or 1.0), float(config.get("shift_factor") or 0.0)


def encode(vae: nn.Module, image: Tensor) -> Tensor:
    """Image [B, 3, H, W] in [-1, 1] -> latent [B, C, h, w] as the U-Net sees it; of a distribution, its mean."""
    coded: Any = vae.encode(image)  # type: ignore[operator]
    latent = coded.latent_dist.mode() if hasattr(coded, "latent_dist") else _only_latent(coded)
    scale, shift = scale_shift(vae)
    return (latent - shift) * scale


def decode(vae: nn.Module, latent: Tensor) -> Tensor:
    """Latent [B, C, h, w] as the U-Net sees it -> image [B, 3, H, W], about [-1, 1]."""
    scale, shift = scale_shift(vae)
    decoded: Any = vae.decode(latent / scale + shift)  # type: ignore[operator]
    image: Tensor = decoded.sample
    return image


def _only_latent(coded: Any) -> Tensor:
    latent: Tensor = coded.latents if hasattr(coded, "latents") else coded.latent
    return latent


def _refuse_transformer(folder: Path) -> None:
    """A diffusion transformer has no skips that a ControlNet could add to (DECISIONS 28)."""
    try:
        config = json.loads((folder / "transformer" / "config.json").read_text())
    except (OSError, ValueError):
        return
    if not (folder / "unet").is_dir():
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder} is a diffusion transformer ({config.get('_class_name', 'transformer/')}), not a U-Net",
            "only backbones with a UNet2DConditionModel are supported",
        )
