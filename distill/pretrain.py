"""Train a small text-to-image backbone from nothing: U-Net and text encoder together, over a trained VAE.

v-prediction on a zero-terminal-SNR schedule: at the last timestep the input is pure noise, in training as in use. With
the plain SD schedule a latent of few pixels leaks the picture's mean colour there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderDC, DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from codi_export.model import backbone as bb
from codi_export.model import parts, prediction
from codi_export.model.denoiser import as_coefficient

from . import text
from .config import DataConfig, settings
from .data import crops, pictures
from .data.tensors import save_picture, to_signed
from .trainer import Batch

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderDC"],
    "scheduler": ["diffusers", "DDPMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
    "feature_extractor": [None, None],
    "safety_checker": [None, None],
}


@dataclass(frozen=True, slots=True)
class BackboneConfig:
    """U-Net widths from the top level down (cross-attention in the lowest only), and how often a caption is dropped."""

    channels: tuple[int, int, int] = (48, 96, 128)
    layers: int = 1
    heads: int = 4
    groups: int = 16
    drop_photo_caption: float = 0.5
    drop_scene_caption: float = 0.15


class TextToImage(nn.Module):
    """What is trained: text encoder and U-Net."""

    def __init__(self, unet: UNet2DConditionModel, text_encoder: nn.Module) -> None:
        super().__init__()
        self.unet = unet
        self.text_encoder = text_encoder

    def forward(self, z: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """z [B, C, h, w], t [B], tokens [B, T] -> prediction [B, C, h, w]."""
        prompt = self.text_encoder(tokens).last_hidden_state
        output: Tensor = self.unet(z, t, prompt, return_dict=False)[0]
        return output


class BackboneJob:
    """Plain v-loss at stratified timesteps.

    A min-SNR weight falls to zero at the pure-noise end, where every sampling run starts.
    """

    def __init__(
        self, config: BackboneConfig, words: text.TextConfig, data: DataConfig, folder: Path, vae: Path
    ) -> None:
        self.config, self.words, self.data = config, words, data
        photos, scenes = (pictures.load(folder, name, pictures.reading(data)) for name in (data.photos, data.scenes))
        self.photos, held_out_photos = pictures.split(photos, data.held_out_photos)
        self.scenes, held_out_scenes = pictures.split(scenes, data.held_out_scenes)
        self.held_out = held_out_scenes[:4] + held_out_photos[:4]
        self.vae = parts.load_part(AutoencoderDC, vae)
        self.scheduler = DDPMScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample=False,
        )
        cumulative = self.scheduler.alphas_cumprod.double()
        self.alphas, self.sigmas = cumulative.sqrt(), (1 - cumulative).sqrt()
        self.tokenizer = text.new_tokenizer([picture.caption for picture in self.photos + self.scenes], words)
        encoder = text.new_encoder(self.tokenizer, words)
        self.module = TextToImage(new_unet(config, self.vae.config.latent_channels, words.width), encoder)
        self.scene_names = {picture.name for picture in self.scenes}

    def gradient_path(self) -> list[nn.Module]:
        """What is trained."""
        return [self.module]

    def seek(self, step: int) -> None:
        """All data is at hand."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`image` [B, 3, side, side] in [-1, 1], `tokens` [B, T]."""
        side, count = crops.extent(self.data, size, rng)
        chosen = [crops.choose(self.photos, self.scenes, self.data.photo_share, rng) for _ in range(count)]
        cut = [crops.turn(crops.crop([p.pixels], side, rng, self.data.scale), rng, False)[0] for p in chosen]
        return {"image": to_signed(np.stack(cut)), "tokens": self.tokens([self._caption(p, rng) for p in chosen])}

    def tokens(self, captions: list[str]) -> Tensor:
        """[B, T], padded and cut to the encoder's length."""
        encoded: Any = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")
        ids: Tensor = encoded.input_ids
        return ids

    def loss(self, module: TextToImage, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """E |v - v_hat|^2, one timestep stratum per sample."""
        with torch.no_grad():
            x = bb.encode(self.vae.to(rng.device), batch["image"])
        strata = torch.arange(len(x), device=x.device) + torch.rand(len(x), generator=rng, device=x.device)
        t = (strata / len(x) * len(self.alphas)).long().clamp(max=len(self.alphas) - 1)
        eps = torch.randn(x.shape, generator=rng, device=x.device)
        alpha, sigma = as_coefficient(self.alphas.to(x.device), t, x), as_coefficient(self.sigmas.to(x.device), t, x)
        output = module(alpha * x + sigma * eps, t, batch["tokens"])
        error = (output.float() - prediction.to_v(x, eps, alpha, sigma)).square().mean(dim=(1, 2, 3))
        half = len(x) // 2  # the strata rise
        return error.mean(), {"clean_half": error[:half].mean(), "noisy_half": error[half:].mean()}

    def stepped(self, module: TextToImage, step: int) -> None:
        """Nothing follows the module here."""

    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        return settings(backbone=self.config, text=self.words, data=self.data)

    def state(self) -> dict[str, Any]:
        """Nothing beside the module."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing beside the module."""

    @torch.no_grad()
    def validate(self, average: TextToImage, picture: Path) -> dict[str, float]:
        """Eight samples of held-out captions, 128 pixels, 16 DDIM steps; the score is the latents' spread (data: 1)."""
        self.vae.to(next(average.parameters()).device)
        tokens = self.tokens([p.caption for p in self.held_out]).to(self.vae.device)
        side = 128 // self.vae.spatial_compression_ratio
        noise = torch.randn(
            len(tokens), self.vae.config.latent_channels, side, side, generator=torch.Generator().manual_seed(0)
        )
        x = sample(average, noise.to(tokens.device), tokens, self.alphas, self.sigmas)
        save_picture(torch.cat(list(bb.decode(self.vae, x)), dim=2), picture)
        return {"sample_std": x.std().item()}

    def save(self, average: TextToImage, folder: Path) -> None:
        """Write the backbone in diffusers layout, weights in fp16."""
        self.vae.register_to_config(_name_or_path="")  # where it was loaded from is nobody's business
        parts: dict[str, Any] = {"unet": average.unet, "vae": self.vae, "text_encoder": average.text_encoder}
        for name, part in parts.items():
            part.half().save_pretrained(folder / name)
        self.scheduler.save_pretrained(folder / "scheduler")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")

    def _caption(self, picture: pictures.Picture, rng: np.random.Generator) -> str:
        drop = self.config.drop_scene_caption if picture.name in self.scene_names else self.config.drop_photo_caption
        return "" if rng.random() < drop else picture.caption


def new_unet(config: BackboneConfig, latent_channels: int, prompt_width: int) -> UNet2DConditionModel:
    """An untrained U-Net for 64 x 64 latents: three levels, cross-attention in the lowest."""
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=prompt_width,
        attention_head_dim=config.heads,
        norm_num_groups=config.groups,
    )


def sample(module: nn.Module, z: Tensor, tokens: Tensor, alphas: Tensor, sigmas: Tensor, steps: int = 16) -> Tensor:
    """Deterministic DDIM from noise z [B, C, h, w] at evenly spaced timesteps; returns the last estimate of x."""
    ts = torch.linspace(len(alphas) - 1, 0, steps + 1)[:-1].long().tolist()
    for now, then in zip(ts, [*ts[1:], None], strict=True):
        alpha, sigma = alphas[now].to(z), sigmas[now].to(z)
        output = module(z, torch.full((len(z),), now, device=z.device), tokens)
        x = prediction.to_x("v_prediction", output, z, alpha, sigma)
        if then is None:
            break
        eps = prediction.to_eps("v_prediction", output, z, alpha, sigma)
        z = alphas[then].to(z) * x + sigmas[then].to(z) * eps
    return x
