"""Noise: Triton's own Philox, and the normal quantile in float64, operation by operation as `kernels/noise/noise.h`.

Every operation must be rounded once, so Triton is told not to fuse a product with a sum.
"""

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 512


def noise_like(z: Tensor, seed: int, image_index: int = 0, y: int = 0, x: int = 0, out: Tensor | None = None) -> Tensor:
    """Standard normal noise like z [B, C, h, w], in `out` if there is one: the bits of `ops.noise.noise_like`."""
    out = z.new_empty(z.shape) if out is None else out
    if out.numel():
        place = (signed(seed, 64), signed(image_index, 32), signed(y, 32), signed(x, 32))
        grid = (triton.cdiv(out.numel(), BLOCK),)
        _noise[grid](out, out.numel(), *place, *out.shape[1:], BLOCK, enable_fp_fusion=False)
    return out


def signed(value: int, bits: int) -> int:
    """The same bits as a signed integer: the type that Triton gives to every argument, then, where it fits."""
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


@triton.jit
def _noise(
    out, elements, seed, image, y, x, channels, height, width, block: tl.constexpr
):  # fmt: skip
    place = tl.program_id(0) * block + tl.arange(0, block)
    row, column = place // width, place % width
    plane, row = row // height, row % height
    where = (column + x, row + y, plane % channels, plane // channels + image)
    word, _, _, _ = tl.philox(seed, where[0], where[1], where[2], where[3])
    value = _quantile((word.to(tl.float64) + 0.5) * (1 / 4294967296))
    tl.store(out + place, value.to(tl.float32), place < elements)


@triton.jit
def _quantile(u):
    """Wichura's AS 241, as far as 2^-33 <= u <= 1 - 2^-33 needs it."""
    q = u - 0.5
    r = 0.180625 - q * q
    middle = q * _polynomial(
        r, 2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
        1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0,
    ) / _polynomial(
        r, 5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
        5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
    )  # fmt: skip
    t = tl.sqrt(-_log(tl.where(u < 0.5, u, 1 - u))) - 1.6
    tail = _polynomial(
        t, 7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
        3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0,
    ) / _polynomial(
        t, 1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0,
    )  # fmt: skip
    return tl.where(tl.abs(q) - 0.425 <= 0, middle, tl.where(q < 0, -tail, tail))


@triton.jit
def _log(v):
    """ln v, 0 < v <= 0.5, as 2 atanh of the mantissa between root 1/2 and root 2."""
    bits = v.to(tl.int64, bitcast=True)
    exponent = ((bits >> 52) - 1022).to(tl.float64)
    m = ((bits & 0xFFFFFFFFFFFFF) | (1022 << 52)).to(tl.float64, bitcast=True)
    small = m - 0.7071067811865476 < 0  # compared with a number, the number would be float32
    m = tl.where(small, m * 2, m)
    exponent = tl.where(small, exponent - 1, exponent)
    s = (m - 1) / (m + 1)
    r = s * s
    series = _polynomial(r, 1 / 23, 1 / 21, 1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9)
    series = (((series * r + 1 / 7) * r + 1 / 5) * r + 1 / 3) * r + 1.0
    return exponent * 0.6931471805599453 + 2 * s * series


@triton.jit
def _polynomial(
    v, a: tl.constexpr, b: tl.constexpr, c: tl.constexpr, d: tl.constexpr,
    e: tl.constexpr, f: tl.constexpr, g: tl.constexpr, h: tl.constexpr,
):  # fmt: skip
    """Horner's rule, the highest power first."""
    return ((((((a * v + b) * v + c) * v + d) * v + e) * v + f) * v + g) * v + h
