"""Pictures in, with Pillow's bicubic enlargement, and out. Products and sums are rounded one by one."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 2048


def image_to_tensor(
    image: Tensor,
    height: int,
    width: int,
    gain: float = 2.0,
    offset: float = -1.0,
    dtype: torch.dtype = torch.float32,
    channels_last: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """uint8 [B, H, W, C] -> gain v / 255 + offset at a larger size, NCHW or NHWC, in `out` if there is one."""
    batch, rows, columns, channels = image.shape
    shape = (batch, height, width, channels) if channels_last else (batch, channels, height, width)
    out = image.new_empty(shape, dtype=dtype) if out is None else out
    if out.numel():
        grid = (triton.cdiv(out.numel(), BLOCK),)
        sizes = (rows, columns, height, width, channels)
        as_it_is = (rows, columns) == (height, width)
        _to_tensor[grid](
            image, out, out.numel(), *sizes, gain, offset, channels_last, as_it_is, BLOCK, enable_fp_fusion=False
        )
    return out


def tensor_to_image(tensor: Tensor, channels_last: bool = False, out: Tensor | None = None) -> Tensor:
    """[-1, 1], NCHW or NHWC -> uint8 [B, H, W, C], in `out` if there is one; NaN becomes 0."""
    batch, height, width, channels = (tensor if channels_last else tensor.movedim(1, 3)).shape
    out = tensor.new_empty((batch, height, width, channels), dtype=torch.uint8) if out is None else out
    if out.numel():
        grid = (triton.cdiv(out.numel(), BLOCK),)
        sizes = (out.numel(), height, width, channels)
        _to_image[grid](tensor, out, *sizes, channels_last, BLOCK, enable_fp_fusion=False)
    return out


@triton.jit
def _split(place, height, width, channels, channels_last: tl.constexpr):
    """Image, channel, row and column of the elements of a tensor."""
    if channels_last:
        pixel, channel = place // channels, place % channels
        row, column = pixel // width, pixel % width
        return row // height, channel, row % height, column
    else:
        row, column = place // width, place % width
        plane, row = row // height, row % height
        return plane // channels, plane % channels, row, column


@triton.jit
def _to_tensor(
    image, out, elements, rows, columns, height, width, channels, gain, offset,
    channels_last: tl.constexpr, as_it_is: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside = place < elements
    picture, channel, y, x = _split(place, height, width, channels, channels_last)
    here = image + picture * rows * columns * channels + channel
    if as_it_is:
        level = tl.load(here + (y * columns + x) * channels, inside, 0).to(tl.float32)
    else:
        y_below, y_part = _centre(y, rows, height)
        x_below, x_part = _centre(x, columns, width)
        level = y_part * 0
        y_sum, x_sum = y_part * 0, x_part * 0
        for i in tl.static_range(4):
            source_y, y_weight = _tap(y_below, y_part, i, rows)
            across, x_sum = y_part * 0, x_part * 0
            for j in tl.static_range(4):
                source_x, x_weight = _tap(x_below, x_part, j, columns)
                value = tl.load(here + (source_y * columns + source_x) * channels, inside, 0).to(tl.float32)
                across += x_weight * value
                x_sum += x_weight
            level += y_weight * (across / x_sum)
            y_sum += y_weight
        level /= y_sum
    tl.store(out + place, level / 255 * gain + offset, inside)


@triton.jit
def _centre(out, size, out_size):
    """The source pixel at or before an output pixel's centre, and how far on towards the next the centre is."""
    unit = 2 * out_size
    centre = (2 * out + 1) * size - out_size
    below = (centre + unit) // unit - 1
    return below, (centre - below * unit).to(tl.float32) / unit


@triton.jit
def _tap(below, part, i: tl.constexpr, size):
    """The i-th of four source pixels and its weight: Keys' cubic with a = -0.5, and 0 outside of the picture."""
    place = below + (i - 1)
    d = tl.abs(part - (i - 1))
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    weight = tl.where((place >= 0) & (place < size), tl.where(d < 1, near, far), 0.0)
    return tl.minimum(tl.maximum(place, 0), size - 1), weight


@triton.jit
def _to_image(tensor, out, elements, height, width, channels, channels_last: tl.constexpr, block: tl.constexpr):
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside = place < elements
    picture, channel, y, x = _split(place, height, width, channels, channels_last)
    value = tl.load(tensor + place, inside, 0).to(tl.float32)
    value = tl.where(value > -1, value, -1.0)  # NaN too
    value = tl.where(value < 1, value, 1.0)
    where = ((picture * height + y) * width + x) * channels + channel
    tl.store(out + where, ((value + 1) * 127.5 + 0.5).to(tl.uint8), inside)
