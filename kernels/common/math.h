// Functions of float32, written so that a compiler can vectorise them: no branches, no tables, no library calls.
#pragma once

#include <cmath>

#include "portable.h"

namespace codi {

// e^x to 2 units in the last place for -87 <= x <= 88, and the value at the nearer end outside. NaN gives no number at
// all: callers multiply by the argument, which keeps it.
CODI_BOTH float exp(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
#ifdef __CUDA_ARCH__
    return __expf(x);
#else
    // x = n ln 2 + r, |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const float shifted = x * 1.44269504f + 12582912.0f;
    const float n = shifted - 12582912.0f;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 1.3933642567e-3f;  // (e^r - 1 - r) / r^2, fitted; 1.1e-8 of e^r
    p = p * r + 8.3631752059e-3f;
    p = p * r + 4.1666466743e-2f;
    p = p * r + 0.1666657627f;
    p = p * r + 0.5f;
    return (p * r * r + r + 1.0f) * bits_as<float>((bits_as<uint32_t>(shifted) << 23) + 0x3F800000u);
#endif
}

// x times the logistic function.
CODI_BOTH float silu(float x) { return x / (1.0f + exp(-x)); }

// x times the normal distribution function, as erfc(z) = t p(t) exp(-z^2) with t = 1 / (1 + z / 2), z = |x| / root 2.
// p is fitted to 6e-9. Small values of the lower tail keep their digits, which 1 + erf(x / root 2) would cancel.
CODI_BOTH float gelu(float x) {
    const float z = fabsf(x) * 0.70710678f;
    const float t = 1.0f / (1.0f + 0.5f * z);
    float p = 0.03217942267f;
    p = p * t - 0.17029601336f;
    p = p * t + 0.32902166247f;
    p = p * t - 0.21356773376f;
    p = p * t - 0.09191609920f;
    p = p * t + 0.07794680446f;
    p = p * t + 0.03761165589f;
    p = p * t + 0.19020150602f;
    p = p * t + 0.24440772831f;
    p = p * t + 0.28232550621f;
    p = p * t + 0.28208553791f;
    const float tail = 0.5f * t * p * exp(-0.5f * x * x);
    return x * (x < 0.0f ? tail : 1.0f - tail);
}

}  // namespace codi
