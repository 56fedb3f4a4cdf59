"""Train the VAE of a small backbone from nothing: a diffusers `AutoencoderDC` that starts as a linear patch PCA.

Squeezing each 4x4 patch to its first principal components is the best linear code there is, so training starts there
and only has to learn what a linear code cannot do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderDC
from torch import Tensor, nn

from .config import DataConfig, settings
from .data import crops, pictures
from .data.tensors import centre, save_picture, to_signed
from .pca_start import start_from_pca
from .trainer import Batch

VALIDATION_CROP = 176  # pixels on a side


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Widths at half and at quarter resolution, and blocks a level. `noise` is the largest standard deviation of the
    noise that the decoder learns to live with, in units of the latents' own."""

    latent_channels: int = 8
    channels: tuple[int, int] = (48, 96)
    encoder_blocks: tuple[int, int] = (1, 2)
    decoder_blocks: tuple[int, int] = (1, 3)
    noise: float = 0.2


class Code(nn.Module):
    """The autoencoder with its latents normalised per channel by running statistics, no affine part."""

    mean: Tensor
    variance: Tensor

    def __init__(self, vae: AutoencoderDC, latent_channels: int) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("mean", torch.zeros(1, latent_channels, 1, 1))
        self.register_buffer("variance", torch.ones(1, latent_channels, 1, 1))

    def encode(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> [B, C, h, w], mean 0 and variance 1 per channel."""
        latent: Tensor = self.vae.encode(image).latent
        if self.training:
            variance, mean = torch.var_mean(latent.detach(), dim=(0, 2, 3), keepdim=True)
            self.mean.lerp_(mean, 0.01)
            self.variance.lerp_(variance, 0.01)
        return (latent - self.mean) / self.variance.sqrt()

    def decode(self, latent: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, 3, H, W], about [-1, 1]."""
        image: Tensor = self.vae.decode(latent).sample
        return image

    @torch.no_grad()
    def folded(self) -> AutoencoderDC:
        """The plain autoencoder with the normalisation inside the encoder's last convolution (exact)."""
        last, std = self.vae.encoder.conv_out, self.variance.sqrt().flatten()
        last.weight /= std[:, None, None, None]
        last.bias.sub_(self.mean.flatten()).div_(std)
        self.mean.zero_()
        self.variance.fill_(1)
        return self.vae


class AutoencoderJob:
    """Reconstruct crops, half of them from noisy latents, so that the decoder forgives what a denoiser leaves."""

    def __init__(self, config: AutoencoderConfig, data: DataConfig, folder: Path) -> None:
        self.config, self.data = config, data
        photos, scenes = (pictures.load(folder, name, pictures.reading(data)) for name in (data.photos, data.scenes))
        self.photos, held_out = pictures.split(photos, data.held_out_photos)
        self.scenes, _ = pictures.split(scenes, data.held_out_scenes)
        self.held_out = pictures.to_validate(held_out, VALIDATION_CROP)
        self.module = Code(new_autoencoder(config), config.latent_channels)
        start_from_pca(self.module.vae, self.batch(np.random.default_rng(0), 256)["image"])

    def gradient_path(self) -> list[nn.Module]:
        """What is trained."""
        return [self.module]

    def seek(self, step: int) -> None:
        """All data is at hand."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`image` [B, 3, side, side] in [-1, 1]."""
        side, count = crops.extent(self.data, size, rng)
        chosen = [crops.choose(self.photos, self.scenes, self.data.photo_share, rng) for _ in range(count)]
        cut = [crops.turn(crops.crop([p.pixels], side, rng, self.data.scale), rng)[0] for p in chosen]
        return {"image": to_signed(np.stack(cut))}

    def loss(self, module: Code, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error, plus a little absolute error for edges."""
        image = batch["image"]
        latent = module.encode(image)
        strength = self.config.noise * torch.rand(len(image), 1, 1, 1, generator=rng, device=rng.device)
        strength = strength * (torch.rand(strength.shape, generator=rng, device=rng.device) < 0.5)
        noise = torch.randn(latent.shape, generator=rng, device=rng.device)
        error = module.decode(latent + strength * noise) - image
        squared, absolute = error.square().mean(), error.abs().mean()
        return 10 * squared + 0.3 * absolute, {"squared": squared, "absolute": absolute}

    def stepped(self, module: Code, step: int) -> None:
        """Nothing follows the module here."""

    def settings(self) -> dict[str, Any]:
        """What a resumed run must have in common with this one."""
        return settings(autoencoder=self.config, data=self.data)

    def state(self) -> dict[str, Any]:
        """Nothing beside the module."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing beside the module."""

    @torch.no_grad()
    def validate(self, average: Code, picture: Path) -> dict[str, float]:
        """PSNR (dB) of the held-out photos' centre crops; the grid shows originals above reconstructions.

        Also the extremes over channels of the latents' mean (wanted: 0) and deviation (wanted: 1) on training crops:
        the noise schedule counts on them.
        """
        images = to_signed(np.stack([centre(p.pixels, VALIDATION_CROP) for p in self.held_out])).to(average.mean.device)
        decoded = average.decode(average.encode(images)).clamp(-1, 1)
        mse = (decoded - images).square().mean(dim=(1, 2, 3))
        rows = [torch.cat(list(row[:6]), dim=2) for row in (images, decoded)]
        save_picture(torch.cat(rows, dim=1), picture)
        rng = np.random.default_rng(0)
        latents = torch.cat([average.encode(self.batch(rng, 16)["image"].to(mse.device)) for _ in range(16)])
        std, mean = torch.std_mean(latents, dim=(0, 2, 3))
        spread = {"latent_mean": mean.abs().max(), "latent_std_low": std.min(), "latent_std_high": std.max()}
        return {"psnr_db": float((10 * torch.log10(4 / mse)).mean()), **{k: v.item() for k, v in spread.items()}}

    def save(self, average: Code, folder: Path) -> None:
        """Write the plain autoencoder, latents normalised, weights in fp16."""
        average.folded().half().save_pretrained(folder)


def new_autoencoder(config: AutoencoderConfig) -> AutoencoderDC:
    """An untrained AutoencoderDC, four pixels to a latent pixel, with pixel (un)shuffles in place of strides."""
    half, quarter = config.channels
    return AutoencoderDC(
        latent_channels=config.latent_channels,
        encoder_block_out_channels=(half // 2, half, quarter),
        decoder_block_out_channels=(half // 2, half, quarter),
        encoder_layers_per_block=(0, *config.encoder_blocks),
        decoder_layers_per_block=(0, *config.decoder_blocks),
        encoder_qkv_multiscales=((), (), ()),
        decoder_qkv_multiscales=((), (), ()),
        encoder_out_shortcut=False,
        decoder_in_shortcut=False,
    )
