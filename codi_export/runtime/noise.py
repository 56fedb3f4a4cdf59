"""The noise of an image: a function of seed and place, the same in Python, C++ and CUDA, bit for bit.

A latent value's four coordinates are a counter, Philox 4x32-10 turns it into a word w, and the inverse normal
distribution turns u = (w + 0.5) / 2^32 into a normal deviate. Only + - * / and square root in float64 are used, one
rounding each (no fused multiply-add), and one rounding to float32 at the end. Never change what this file computes:
`tests/data/noise.json` holds its values.

Philox: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
Inverse normal: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", PPND16, 1988.
"""

import numpy as np
from numpy.typing import NDArray

from codi_export.errors import CodiError, ErrorCode

Words = NDArray[np.uint64]  # 32-bit words held in 64 bits, so that a product keeps its high half
Doubles = NDArray[np.float64]

_WORD = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_KEY_STEPS = 0x9E3779B9, 0xBB67AE85

# Wichura's coefficients, highest power first. His third pair, for r > 5, is never reached: u >= 2^-33 means r < 4.79.
_A = (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
      1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0)  # fmt: skip
_B = (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
      5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0)  # fmt: skip
_C = (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
      3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734)  # fmt: skip
_D = (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
      6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0)  # fmt: skip
_LN2 = 0.6931471805599453
_SQRT_HALF = 0.7071067811865476
_ATANH = tuple(1.0 / (2 * k + 1) for k in range(11, -1, -1))  # atanh(s) / s in powers of s^2; |s| < 0.172


def normal(
    seed: int, shape: tuple[int, int, int, int], origin: tuple[int, int] = (0, 0), image_index: int = 0
) -> NDArray[np.float32]:
    """Standard normal noise [B, C, h, w] for the window at `origin` = (y, x) of an unbounded latent plane.

    Image b of the batch has index `image_index + b`. Two windows agree wherever they overlap. `seed` is 0 to 2^64 - 1;
    another one raises CodiError (bad-option).
    """
    if not 0 <= seed < 1 << 64:
        raise CodiError(ErrorCode.BAD_OPTION, f"seed {seed}: expected 0 to 2^64 - 1", "")
    starts = (image_index, 0, *origin)
    axes = [np.arange(start, start + size).astype(np.uint64) & _WORD for start, size in zip(starts, shape, strict=True)]
    b, c, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    word = philox((x, y, c, b), (seed & 0xFFFFFFFF, seed >> 32))[0]
    return inverse_normal((word.astype(np.float64) + 0.5) * 2.0**-32).astype(np.float32)


def philox(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Philox 4x32 with ten rounds: four 32-bit counter words and two key words to four random words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0),
            p1 & _WORD,
            (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1),
            p0 & _WORD,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + _KEY_STEPS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def inverse_normal(u: Doubles) -> Doubles:
    """The standard normal quantile of u, 2^-33 <= u <= 1 - 2^-33, to about 1e-15 of its value."""
    q = u - 0.5
    r = np.maximum(0.180625 - q * q, 0.0)  # below 0 the tail is taken
    quantile = q * _polynomial(_A, r) / _polynomial(_B, r)
    outer = np.abs(q) > 0.425
    v = u[outer]
    t = np.sqrt(-_ln(np.minimum(v, 1.0 - v))) - 1.6
    quantile[outer] = np.copysign(_polynomial(_C, t) / _polynomial(_D, t), q[outer])
    return quantile


def _ln(v: Doubles) -> Doubles:
    """Natural logarithm of v, 0 < v <= 0.5: v = m 2^e, m between root 1/2 and root 2, ln m = 2 atanh((m-1)/(m+1))."""
    m, e = np.frexp(v)
    low = m < _SQRT_HALF
    m, e = np.where(low, m * 2.0, m), e - low
    s = (m - 1.0) / (m + 1.0)
    return e * _LN2 + 2.0 * s * _polynomial(_ATANH, s * s)


def _polynomial(coefficients: tuple[float, ...], v: Doubles) -> Doubles:
    """Horner's rule, in this order on every machine."""
    total = np.full_like(v, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= v
        total += coefficient
    return total
