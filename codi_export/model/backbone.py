"""The frozen parts of a diffusers folder: U-Net, VAE, scheduler and, if a prompt is to be read, the text encoder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import scaled
from codi_export.model import lora
from codi_export.spec import PredictionType

VAE_CLASSES = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")


@dataclass(frozen=True, slots=True)
class Backbone:
    """A loaded backbone, in float32 and eval mode. `alphas` and `sigmas` are float64 [T], indexed by timestep."""

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


def load(folder: Path, loras: Sequence[str] = ()) -> Backbone:
    """Load a diffusers folder, with what the files `loras` change, each `FILE` or `FILE:SCALE`; raises CodiError
    (bad-model) that names the part and the fault."""
    scheduler = load_scheduler(folder)
    kind = scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction", "sample"):
        raise CodiError(
            ErrorCode.BAD_MODEL, f"{folder}: prediction type '{kind}'; expected epsilon, v_prediction or sample"
        )
    unet = load_part(UNet2DConditionModel, folder / "unet")
    _refuse_unsupported(unet.config, folder)
    for file, scale in map(scaled, loras):
        lora.merge(unet, file, scale)
    cumulative = scheduler.alphas_cumprod.double()
    return Backbone(
        folder=folder,
        unet=unet,
        vae=load_part(vae_class(folder / "vae"), folder / "vae"),
        alphas=cumulative.sqrt(),
        sigmas=(1 - cumulative).sqrt(),
        prediction_type=kind,
    )


def load_part(kind: Any, folder: Path) -> Any:
    """One part of a diffusers folder, from safetensors only, as float32; raises CodiError (bad-model)."""
    if not (folder / "config.json").is_file():
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} has no config.json", "expected a folder in diffusers layout")
    if not list(folder.glob("*.safetensors")):
        pickled = [file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
        found = f"only {pickled[0]}, a pickle that could run code when it is read" if pickled else "no weights"
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} holds {found}", "save it with `safe_serialization=True`")
    try:
        part = kind.from_pretrained(folder, use_safetensors=True, torch_dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} does not load as {kind.__name__}: {error}") from error
    return part.eval().requires_grad_(False)


def load_scheduler(folder: Path) -> DDPMScheduler:
    """The noise schedule of a diffusers folder, whatever scheduler class it names."""
    try:
        config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    except (OSError, ValueError) as error:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder} is not a backbone: {error}",
            "expected a diffusers folder with scheduler/, unet/ and vae/",
        ) from error
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


@dataclass(frozen=True, slots=True)
class Text:
    """A backbone's tokenizer and text encoder."""

    tokenizer: Any
    encoder: CLIPTextModel

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> [B, T], padded and cut to the encoder's length."""
        length = self.encoder.config.max_position_embeddings
        cut = {"padding": "max_length", "max_length": length, "truncation": True}
        ids: Tensor = self.tokenizer(list(prompts), return_tensors="pt", **cut).input_ids
        return ids

    @torch.no_grad()
    def embed(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, T, D]."""
        embedding: Tensor = self.encoder.to(tokens.device)(tokens).last_hidden_state
        return embedding


def load_text(folder: Path, loras: Sequence[str] = ()) -> Text:
    """The text parts of a diffusers folder, likewise; raises CodiError (bad-model)."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    encoder = load_part(CLIPTextModel, folder / "text_encoder")
    for file, scale in map(scaled, loras):
        lora.merge(encoder, file, scale, "text_encoder")
    return Text(tokenizer, encoder)


def embed(folder: Path, prompts: list[str], loras: Sequence[str] = ()) -> Tensor:
    """Prompts -> [B, T, D], by the folder's own tokenizer and text encoder."""
    text = load_text(folder, loras)
    return text.embed(text.tokens(prompts))


def _only_latent(coded: Any) -> Tensor:
    latent: Tensor = coded.latents if hasattr(coded, "latents") else coded.latent
    return latent


def vae_class(folder: Path) -> Any:
    """The diffusers class that a VAE folder names; raises CodiError (bad-model)."""
    try:
        name = json.loads((folder / "config.json").read_text())["_class_name"]
    except (OSError, ValueError, KeyError) as error:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} is not a VAE: {error}") from error
    if name not in VAE_CLASSES:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder}: VAE class '{name}'; expected one of {', '.join(VAE_CLASSES)}")
    return getattr(diffusers, name)


def _refuse_unsupported(config: Any, folder: Path) -> None:
    """A U-Net that wants more inputs than (z, t, prompt) would be exported wrong, so it is refused by name."""
    for option in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "time_cond_proj_dim"):
        if config.get(option):
            raise CodiError(
                ErrorCode.BAD_MODEL, f"{folder}: U-Net option {option}={config[option]!r} is not supported yet"
            )
    if config.in_channels != config.out_channels:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder}: U-Net with {config.in_channels} inputs, {config.out_channels} outputs; expected as many",
        )
