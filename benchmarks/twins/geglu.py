"""GEGLU: value times gelu(gate), the halves of a row."""

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


def geglu(x: Tensor, bias: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """x [..., 2 D] -> [..., D], in `out` if there is one."""
    columns = x.shape[-1] // 2
    out = x.new_empty((*x.shape[:-1], columns)) if out is None else out
    if out.numel():
        _geglu[(triton.cdiv(out.numel(), BLOCK),)](x, bias, out, out.numel(), columns, BLOCK)
    return out


@triton.jit
def _geglu(x, bias, out, elements, columns, block: tl.constexpr):
    place = tl.program_id(0) * block + tl.arange(0, block)
    inside = place < elements
    row, column = place // columns, place % columns
    value = tl.load(x + row * 2 * columns + column, inside, 0).to(tl.float32)
    gate = tl.load(x + row * 2 * columns + columns + column, inside, 0).to(tl.float32)
    if bias is not None:
        value += tl.load(bias + column, inside, 0).to(tl.float32)
        gate += tl.load(bias + columns + column, inside, 0).to(tl.float32)
    tl.store(out + place, value * _gelu(gate), inside)


@triton.jit
def _gelu(x):
    """The fit of `kernels/common/math.h`: Triton has no erfc, and 1 + erf has no digits left in the lower tail."""
    z = tl.abs(x) * 0.70710678
    t = 1 / (1 + 0.5 * z)
    p = 0.03217942267 * t - 0.17029601336
    p = p * t + 0.32902166247
    p = p * t - 0.21356773376
    p = p * t - 0.09191609920
    p = p * t + 0.07794680446
    p = p * t + 0.03761165589
    p = p * t + 0.19020150602
    p = p * t + 0.24440772831
    p = p * t + 0.28232550621
    p = p * t + 0.28208553791
    tail = 0.5 * t * p * tl.exp(tl.maximum(-0.5 * x * x, -87.0))
    return x * tl.where(x < 0, tail, 1 - tail)
