"""uint8 pictures to float tensors and back."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from .pictures import Pixels


def centre(pixels: Pixels, size: int) -> Pixels:
    """The central `size` x `size` window; pictures must be at least that large."""
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


def to_signed(pixels: Pixels) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(pixels).movedim(-1, 1).contiguous().float() / 127.5 - 1


def to_unit(pixels: Pixels) -> Tensor:
    """uint8 [B, H, W, C] -> float [B, C, H, W] in [0, 1]."""
    return torch.from_numpy(pixels).movedim(-1, 1).contiguous().float() / 255


def save_picture(image: Tensor, file: Path) -> None:
    """Write one [3, H, W] image in [-1, 1] as PNG."""
    Image.fromarray(to_pixels(image)).save(file)


def to_pixels(image: Tensor) -> Pixels:
    """[3, H, W] in [-1, 1] -> uint8 [H, W, 3]."""
    levels = ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    pixels: Pixels = levels.movedim(0, -1).cpu().numpy()
    return pixels
