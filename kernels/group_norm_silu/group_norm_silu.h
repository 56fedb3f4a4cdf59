// GroupNorm and SiLU of v = [x ; second] + shift + residual, channels last.
//
// The positions of an image are cut into splits. For each split and group the mean of v and M2, the sum of squared
// distances from it, are kept; a group's own come from merging its splits (Chan, Golub, LeVeque, "Updating formulae and
// a pairwise algorithm for computing sample variances", 1979). Within a split each channel is summed from a pivot, its
// first value, so an offset costs no digits. Every order is fixed by the shapes: results repeat to the bit.
#pragma once

#include "../codi_kernels.h"
#include "../common/math.h"

namespace codi {

// Of values that are counted elsewhere.
struct Moments {
    float mean, m2;
};

// Distances from a pivot, summed.
struct Sums {
    float pivot, distance, square;

    CODI_BOTH void begin(float value) { pivot = value, distance = 0, square = 0; }
    CODI_BOTH void add(float value) {
        const float d = value - pivot;
        distance += d;
        square += d * d;
    }
    CODI_BOTH Moments moments(int count) const {
        const float mean = distance / float(count), m2 = square - distance * mean;
        return {pivot + mean, m2 < 0 ? 0 : m2};  // below 0 by rounding; NaN stays
    }
};

// Moments of count_a and count_b values together.
CODI_BOTH Moments merge(Moments a, int count_a, Moments b, int count_b) {
    const float part = float(count_b) / float(count_a + count_b), d = b.mean - a.mean;
    return {a.mean + d * part, a.m2 + b.m2 + d * d * float(count_a) * part};
}

// How an image's positions are cut: into pieces of `rows` (the last may be shorter). About 2^14 values a piece keep a
// block busy; more than 256 pieces would take longer to merge than they save.
struct Splits {
    int count, rows;

    CODI_BOTH int begin(int split) const { return split * rows; }
    CODI_BOTH int size(int split, int positions) const {
        const int rest = positions - split * rows;
        return rest < rows ? rest : rows;
    }
};

CODI_BOTH Splits splits_of(int64_t positions, int64_t channels) {
    const int64_t wanted = (positions * channels + 16383) / 16384;
    const int64_t count = wanted < 1 ? 1 : wanted > 256 ? 256 : wanted;
    const int64_t rows = (positions + count - 1) / count;
    return {int((positions + rows - 1) / rows), int(rows)};
}

// What a channel's values are multiplied by and moved by.
struct Affine {
    float centre, scale, offset;

    CODI_BOTH float apply(float value, bool activate) const {
        const float y = (value - centre) * scale + offset;
        return activate ? silu(y) : y;
    }
};

CODI_BOTH float deviation_inverse(float m2, int64_t count, float epsilon) {
    return 1.0f / sqrtf(m2 / float(count) + epsilon);
}

}  // namespace codi
