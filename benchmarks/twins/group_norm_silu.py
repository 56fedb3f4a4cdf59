"""GroupNorm and SiLU, channels last, in two launches: moments of pieces of a group, then all the rest.

A program takes one group's channels at some positions, all at once: where the channels of a group are few and no power
of two, its loads are narrow. That is what the CUDA kernel, which reads all channels side by side, is compared with.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096  # values


def group_norm_silu(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    groups: int,
    epsilon: float = 1e-5,
    silu: bool = True,
    second: Tensor | None = None,
    shift: Tensor | None = None,
    residual: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """silu(norm(v) weight + bias), v = [x ; second] + shift + residual, [B, ..., C], in `out` if there is one."""
    more = 0 if second is None else second.shape[-1]
    batch, channels = x.shape[0], x.shape[-1] + more
    out = x.new_empty((*x.shape[:-1], channels)) if out is None else out
    if not out.numel():
        return out
    positions, each = out.numel() // (batch * channels), channels // groups
    wide = triton.next_power_of_2(each)
    rows = max(1, min(BLOCK // wide, triton.next_power_of_2(positions)))
    splits = triton.cdiv(positions, rows)
    kept = torch.empty(batch, groups, splits, 2, dtype=torch.float32, device=x.device)
    v = (x, second, shift, residual, positions, channels, more)
    _moments[splits, groups, batch](*v, kept, each, rows, wide)
    affine = (weight, bias, epsilon, out, splits, silu)
    _apply[splits, groups, batch](*v, kept, *affine, each, rows, wide, triton.next_power_of_2(splits))
    return out


@triton.jit
def _read(
    x, second, shift, residual, positions, channels, more, each: tl.constexpr, rows: tl.constexpr, wide: tl.constexpr
):  # fmt: skip
    """v of this program, [rows, wide]; which of it there is, which channels they are, and where `out` has them."""
    image = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * rows + tl.arange(0, rows)[:, None]
    lane = tl.arange(0, wide)[None, :]
    channel = tl.program_id(1) * each + lane
    inside, pixel, first = (row < positions) & (lane < each), image * positions + row, channels - more
    v = tl.load(x + pixel * first + channel, inside & (channel < first), 0).to(tl.float32)
    if second is not None:
        v += tl.load(second + pixel * more + channel - first, inside & (channel >= first), 0).to(tl.float32)
    if residual is not None:
        v += tl.load(residual + pixel * channels + channel, inside, 0).to(tl.float32)
    if shift is not None:
        v += tl.load(shift + image * channels + channel, lane < each, 0).to(tl.float32)
    return v, inside, channel, pixel * channels + channel


@triton.jit
def _moments(
    x, second, shift, residual, positions, channels, more, kept,
    each: tl.constexpr, rows: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    v, inside, _, _ = _read(x, second, shift, residual, positions, channels, more, each, rows, wide)
    v = tl.where(inside, v, 0)
    mean = tl.sum(v) / tl.sum(inside.to(tl.float32))
    distance = tl.where(inside, v - mean, 0)
    group = tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)
    place = kept + (group * tl.num_programs(0) + tl.program_id(0)) * 2
    tl.store(place, mean)
    tl.store(place + 1, tl.sum(distance * distance))


@triton.jit
def _apply(
    x, second, shift, residual, positions, channels, more, kept, weight, bias, epsilon, out, splits,
    silu: tl.constexpr, each: tl.constexpr, rows: tl.constexpr, wide: tl.constexpr, splits_wide: tl.constexpr,
):  # fmt: skip
    split = tl.arange(0, splits_wide)
    there = split < splits
    group = tl.program_id(2) * tl.num_programs(1) + tl.program_id(1)
    place = kept + (group * splits + split) * 2
    means, m2 = tl.load(place, there, 0), tl.load(place + 1, there, 0)
    counts = tl.where(there, tl.minimum(positions - split * rows, rows) * each, 0).to(tl.float32)
    total = tl.sum(counts)
    mean = tl.sum(means * counts) / total
    variance = tl.sum(m2 + (means - mean) * (means - mean) * counts) / total
    v, inside, channel, where = _read(x, second, shift, residual, positions, channels, more, each, rows, wide)
    scale = 1 / tl.sqrt(variance + epsilon)
    known = tl.arange(0, wide)[None, :] < each
    if weight is not None:
        scale *= tl.load(weight + channel, known, 0).to(tl.float32)
    y = (v - mean) * scale
    if bias is not None:
        y += tl.load(bias + channel, known, 0).to(tl.float32)
    if silu:
        y = y / (1 + tl.exp(-y))
    tl.store(out + where, y, inside)
