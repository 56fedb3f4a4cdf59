"""Train the VAE of a small backbone from nothing: a diffusers `AutoencoderDC` that starts as a linear patch PCA.

Squeezing each 4x4 patch to its first principal components is the best linear code there is, and a convolutional network
can express it exactly, so training starts there and only has to learn what a linear code cannot do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from PIL import Image
from torch import Tensor, nn

from .config import DataConfig
from .data import crops, pictures
from .trainer import Batch

FACTOR = 4  # pixels per latent pixel, along each side


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
        latent = self.vae.encode(image).latent
        if self.training:
            variance, mean = torch.var_mean(latent.detach(), dim=(0, 2, 3), keepdim=True)
            self.mean.lerp_(mean, 0.01)
            self.variance.lerp_(variance, 0.01)
        return (latent - self.mean) / self.variance.sqrt()

    def decode(self, latent: Tensor) -> Tensor:
        """[B, C, h, w] -> [B, 3, H, W], about [-1, 1]."""
        return self.vae.decode(latent).sample

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
        photos, self.held_out = pictures.split(pictures.load(folder, data.photos, data.exclude), data.held_out_photos)
        scenes, _ = pictures.split(pictures.load(folder, data.scenes, data.exclude), data.held_out_scenes)
        self.photos, self.scenes = photos, scenes
        self.module = Code(new_autoencoder(config), config.latent_channels)
        start_from_pca(self.module.vae, self.batch(np.random.default_rng(0), 256)["image"])

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`image` [B, 3, side, side] in [-1, 1]."""
        side, count = crops.extent(self.data, size, rng)
        chosen = [crops.choose(self.photos, self.scenes, self.data.photo_share, rng) for _ in range(count)]
        cut = [crops.turn(crops.crop(picture.pixels, side, rng, self.data.scale), rng) for picture in chosen]
        return {"image": to_signed(np.stack(cut))}

    def loss(self, module: nn.Module, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Squared error, plus a little absolute error for edges."""
        image = batch["image"]
        latent = module.encode(image)
        strength = self.config.noise * torch.rand(len(image), 1, 1, 1, generator=rng, device=rng.device)
        strength = strength * (torch.rand(strength.shape, generator=rng, device=rng.device) < 0.5)
        noise = torch.randn(latent.shape, generator=rng, device=rng.device)
        error = module.decode(latent + strength * noise) - image
        squared, absolute = error.square().mean(), error.abs().mean()
        return 10 * squared + 0.3 * absolute, {"squared": squared.item(), "absolute": absolute.item()}

    def stepped(self, module: nn.Module, step: int) -> None:
        """Nothing follows the module here."""

    def state(self) -> dict[str, Any]:
        """Nothing beside the module."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing beside the module."""

    @torch.no_grad()
    def validate(self, average: nn.Module, picture: Path) -> dict[str, float]:
        """PSNR (dB) of the held-out photos' centre crops; the grid shows originals above reconstructions."""
        images = to_signed(np.stack([centre(p.pixels, 176) for p in self.held_out]))
        decoded = average.decode(average.encode(images)).clamp(-1, 1)
        mse = (decoded - images).square().mean(dim=(1, 2, 3))
        rows = [torch.cat(list(row[:6]), dim=2) for row in (images, decoded)]
        save_picture(torch.cat(rows, dim=1), picture)
        return {"psnr_db": float((10 * torch.log10(4 / mse)).mean())}

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


@torch.no_grad()
def start_from_pca(vae: AutoencoderDC, images: Tensor) -> None:
    """Make `vae` code each 4x4 patch by its first principal components, whitened. Images [B, 3, H, W] in [-1, 1].

    Residual blocks start as identities, (un)shuffles carry the pixels through, and the encoder's last convolution is
    solved for. The decoder's output norm divides by the channels' RMS, so one channel holds a large constant: the RMS
    is then nearly that constant, and the norm nearly linear.
    """
    patches = F.pixel_unshuffle(F.pixel_unshuffle(images, 2), 2)  # [B, 48, h, w], the order of two unshuffles
    values = patches.movedim(1, -1).reshape(-1, patches.shape[1]).double()
    channels = vae.encoder.conv_out.out_channels
    mean = values.mean(dim=0)
    power, basis = torch.linalg.eigh(torch.cov((values - mean).T))
    basis, std = basis[:, -channels:], power[-channels:].sqrt()
    for block in vae.modules():
        if type(block).__name__ == "ResBlock":
            nn.init.zeros_(block.norm.weight)
            nn.init.zeros_(block.norm.bias)
    _start_encoder(vae.encoder, images, (values - mean) @ basis / std)
    _start_decoder(vae.decoder, basis * std, mean)


def _start_encoder(encoder: nn.Module, images: Tensor, target: Tensor) -> None:
    _set_centre(encoder.conv_in.conv, torch.eye(3))
    _set_centre(encoder.down_blocks[1][-1].conv, torch.eye(12))
    features: list[Tensor] = []
    hook = encoder.conv_out.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    encoder(images)
    hook.remove()
    flat = features[0].movedim(1, -1).flatten(0, 2).double()
    ones = torch.ones(len(flat), 1, dtype=flat.dtype)
    solution = torch.linalg.lstsq(torch.cat([flat, ones], dim=1), target, driver="gelsd").solution.float()
    _set_centre(encoder.conv_out, solution[:-1].T)
    encoder.conv_out.bias.copy_(solution[-1])


def _start_decoder(decoder: nn.Module, synthesis: Tensor, mean: Tensor, constant: float = 30.0) -> None:
    up, norm, last = decoder.up_blocks[1][0], decoder.norm_out, decoder.conv_out.conv
    half = norm.weight.numel()
    _set_centre(decoder.conv_in, synthesis.float())
    decoder.conv_in.bias[: len(mean)] = mean.float()
    shortcut = torch.zeros(up.conv.out_channels, up.conv.in_channels)
    shortcut[torch.arange(len(shortcut)), torch.arange(len(shortcut)) // up.repeats] = (
        1  # what the block adds by itself
    )
    _set_centre(up.conv, torch.eye(48, up.conv.in_channels), minus=shortcut)
    up.conv.bias[-4:] = constant
    norm.weight.fill_(constant / half**0.5)
    norm.bias.fill_(2.0)  # pixels are about [-1, 1]: above the ReLU's knee
    _set_centre(last, torch.eye(12))
    last.bias.fill_(-2.0)


def _set_centre(conv: nn.Conv2d, matrix: Tensor, minus: Tensor | None = None) -> None:
    """Make the first channels of a convolution the 1x1 map `matrix`; the other channels keep a small random start."""
    rows, columns = matrix.shape
    conv.weight.mul_(0.1)
    conv.weight[:rows] = 0
    conv.bias.zero_()
    conv.weight[:rows, :columns, 1, 1] = matrix
    if minus is not None:
        conv.weight[:, :, 1, 1] -= minus


def centre(pixels: pictures.Pixels, size: int) -> pictures.Pixels:
    """The central `size` x `size` window; pictures must be at least that large."""
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


def to_signed(pixels: pictures.Pixels) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(pixels).movedim(-1, 1).contiguous().float() / 127.5 - 1


def save_picture(image: Tensor, file: Path) -> None:
    """Write one [3, H, W] image in [-1, 1] as PNG."""
    Image.fromarray(to_pixels(image)).save(file)


def to_pixels(image: Tensor) -> pictures.Pixels:
    """[3, H, W] in [-1, 1] -> uint8 [H, W, 3]."""
    levels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.movedim(0, -1).cpu().numpy()
