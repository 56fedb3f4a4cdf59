// Pictures in and out, the arithmetic of codi_export/model/resize.py and fuse.py. Products and sums are rounded one by
// one, as numpy and torch do: nvcc is told so here, and the host kernels are compiled without contraction.
#pragma once

#include <cmath>

#include "../codi_kernels.h"
#include "../common/portable.h"

namespace codi {

CODI_BOTH float times_plus(float a, float b, float c) {
#ifdef __CUDA_ARCH__
    return __fadd_rn(__fmul_rn(a, b), c);
#else
    return a * b + c;
#endif
}

// The four source pixels of an output pixel along one axis: their places, and weights that sum to 1.
struct Taps {
    int place[4];
    float weight[4];
};

// Keys' cubic, "Cubic convolution interpolation for digital image processing", 1981, at 0 <= d <= 2.
CODI_BOTH float cubic(float d) {
    return d < 1 ? times_plus(times_plus(1.5f, d, -2.5f) * d, d, 1.0f)
                 : times_plus(times_plus(times_plus(-0.5f, d, 2.5f), d, -4.0f), d, 2.0f);
}

// Both sizes are at most 32767, so the output pixel's centre in the source is an exact fraction of 32-bit integers.
CODI_BOTH Taps taps_of(int out, int size, int out_size) {
    const int unit = 2 * out_size, centre = (2 * out + 1) * size - out_size;  // in units of 1 / unit, > -unit
    const int below = (centre + unit) / unit - 1;
    const float f = float(centre - below * unit) / float(unit);  // of the way to the next source pixel
    const float distance[4] = {1 + f, f, 1 - f, 2 - f};
    Taps taps;
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
        const int place = below - 1 + i;
        const bool inside = place >= 0 && place < size;
        taps.place[i] = place < 0 ? 0 : place < size ? place : size - 1;
        taps.weight[i] = inside ? cubic(distance[i]) : 0;
        sum += taps.weight[i];
    }
    for (int i = 0; i < 4; ++i) taps.weight[i] /= sum;
    return taps;
}

CODI_BOTH float weighed(const Taps& taps, float a, float b, float c, float d) {
    return times_plus(taps.weight[3], d,
                      times_plus(taps.weight[2], c, times_plus(taps.weight[1], b, taps.weight[0] * a)));
}

CODI_BOTH float normalised(float level, float gain, float offset) { return times_plus(level / 255.0f, gain, offset); }

// [-1, 1] to 0..255.
CODI_BOTH uint8_t level_of(float value) {
    value = value > -1.0f ? value : -1.0f;  // NaN too
    value = value < 1.0f ? value : 1.0f;
    return uint8_t(int(times_plus(value + 1.0f, 127.5f, 0.5f)));  // not negative, so this rounds down
}

}  // namespace codi
