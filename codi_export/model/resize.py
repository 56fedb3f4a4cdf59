"""Bicubic resizing as two matrix products, with Pillow's weights: a = -0.5, half-pixel centres, edges renormalised."""

import torch
from torch import Tensor


def bicubic_matrix(size: int, out: int) -> Tensor:
    """[out, size], float64, rows summing to 1. Widened by the ratio when it shrinks, so that it does not alias."""
    ratio = size / out
    support = max(1.0, ratio)
    centre = (torch.arange(out, dtype=torch.float64)[:, None] + 0.5) * ratio
    distance = ((torch.arange(size, dtype=torch.float64)[None, :] + 0.5) - centre).abs() / support
    weight = torch.where(
        distance < 1,
        1.5 * distance**3 - 2.5 * distance**2 + 1,
        -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2,
    )
    weight = torch.where(distance < 2, weight, torch.zeros_like(weight))
    return weight / weight.sum(dim=1, keepdim=True)


def resize(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Image [B, C, H, W] with rows [H', H] and columns [W', W] -> [B, C, H', W']."""
    return rows @ image @ columns.T
