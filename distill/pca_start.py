"""Start an `AutoencoderDC` as a linear PCA of 4x4 patches, which it can express exactly."""

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC
from torch import Tensor, nn


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


def _start_encoder(encoder: Any, images: Tensor, target: Tensor) -> None:
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


def _start_decoder(decoder: Any, synthesis: Tensor, mean: Tensor, constant: float = 30.0) -> None:
    up, norm, last = decoder.up_blocks[1][0], decoder.norm_out, decoder.conv_out.conv
    half = norm.weight.numel()
    _set_centre(decoder.conv_in, synthesis.float())
    decoder.conv_in.bias[: len(mean)] = mean.float()
    shortcut = torch.zeros(up.conv.out_channels, up.conv.in_channels)  # what the block adds by itself
    rows = torch.arange(len(shortcut))
    shortcut[rows, rows // up.repeats] = 1
    _set_centre(up.conv, torch.eye(48, up.conv.in_channels), minus=shortcut)
    up.conv.bias[-4:] = constant
    norm.weight.fill_(constant / half**0.5)
    norm.bias.fill_(2.0)  # pixels are about [-1, 1]: above the ReLU's knee
    _set_centre(last, torch.eye(12))
    last.bias.fill_(-2.0)


def _set_centre(conv: Any, matrix: Tensor, minus: Tensor | None = None) -> None:
    """Make the first channels of a convolution the 1x1 map `matrix`; the other channels keep a small random start."""
    rows, columns = matrix.shape
    conv.weight.mul_(0.1)
    conv.weight[:rows] = 0
    conv.bias.zero_()
    conv.weight[:rows, :columns, 1, 1] = matrix
    if minus is not None:
        conv.weight[:, :, 1, 1] -= minus
