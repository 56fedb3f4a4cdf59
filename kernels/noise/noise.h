// The noise of an image: a function of seed and place, bit for bit that of codi_export/runtime/noise.py.
//
// Plain C++17 includes this file and needs nothing else: codi::normal(seed, image, channel, y, x).
// Every float64 operation is rounded once. Compilers may fuse a*b + c into one rounding where the machine can, whatever
// their flags say by default; `exact::mul` does not let them.
//
// Philox: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// Inverse normal: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", PPND16, 1988.
#pragma once

#include <cfloat>
#include <cmath>

#include "../common/portable.h"

#if defined(__FAST_MATH__) || FLT_EVAL_METHOD != 0
#error "the noise is defined by IEEE 754 arithmetic: compile without -ffast-math, and not for the x87"
#endif

namespace codi {

namespace exact {

CODI_BOTH double mul(double a, double b) {
#ifdef __CUDA_ARCH__
    return __dmul_rn(a, b);
#else
    double product = a * b;
#if defined(__FP_FAST_FMA) && defined(__x86_64__)
    asm("" : "+x"(product));  // the product is looked at, so it is rounded
#elif defined(__FP_FAST_FMA)
    asm("" : "+w"(product));
#endif
    return product;
#endif
}

CODI_BOTH double root(double a) {
#ifdef __CUDA_ARCH__
    return __dsqrt_rn(a);
#else
    return std::sqrt(a);
#endif
}

// Horner's rule, coefficients highest power first.
template <int n>
CODI_BOTH double polynomial(const double (&coefficients)[n], double v) {
    double total = coefficients[0];
    for (int i = 1; i < n; ++i) total = mul(total, v) + coefficients[i];
    return total;
}

}  // namespace exact

struct Words {
    uint32_t word[4];
};

// Philox 4x32 with ten rounds: a counter and a key to four random words.
CODI_BOTH Words philox(Words counter, uint32_t key0, uint32_t key1) {
    uint32_t* c = counter.word;
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c[0], p1 = uint64_t(0xCD9E8D57u) * c[2];
        const uint32_t first = uint32_t(p1 >> 32) ^ c[1] ^ key0, third = uint32_t(p0 >> 32) ^ c[3] ^ key1;
        c[0] = first, c[1] = uint32_t(p1), c[2] = third, c[3] = uint32_t(p0);
        key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
    }
    return counter;
}

// ln v, 0 < v <= 0.5: v = m 2^e with m between root 1/2 and root 2, ln m = 2 atanh((m - 1) / (m + 1)).
CODI_BOTH double log_of_tail(double v) {
    const double ln2 = 0.6931471805599453, root_half = 0.7071067811865476;
    // atanh(s) / s in powers of s^2; |s| < 0.172
    const double atanh[] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                            1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3,  1.0};
    const uint64_t bits = bits_as<uint64_t>(v);
    int exponent = int(bits >> 52) - 1022;
    double m = bits_as<double>((bits & 0xFFFFFFFFFFFFFull) | (uint64_t(1022) << 52));  // 0.5 <= m < 1
    if (m < root_half) m *= 2, --exponent;
    const double s = (m - 1) / (m + 1);
    return exact::mul(exponent, ln2) + exact::mul(2 * s, exact::polynomial(atanh, exact::mul(s, s)));
}

// The standard normal quantile of u, 2^-33 <= u <= 1 - 2^-33. Wichura's third pair, for r > 5, is never reached.
CODI_BOTH double inverse_normal(double u) {
    const double q = u - 0.5;
    if (fabs(q) <= 0.425) {
        const double a[] = {2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
                            4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
                            1.3314166789178437745e2, 3.3871328727963666080e0};
        const double b[] = {
            5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
            5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0};
        const double r = 0.180625 - exact::mul(q, q);
        return exact::mul(q, exact::polynomial(a, r)) / exact::polynomial(b, r);
    }
    const double c[] = {7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                        1.27045825245236838258,    3.64784832476320460504,    5.76949722146069140550,
                        4.63033784615654529590,    1.42343711074968357734};
    const double d[] = {
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940e0,  2.05319162663775882187e0,  1.0};
    const double t = exact::root(-log_of_tail(u < 0.5 ? u : 1 - u)) - 1.6;
    const double tail = exact::polynomial(c, t) / exact::polynomial(d, t);
    return q < 0 ? -tail : tail;
}

// The standard normal deviate of one latent value. Coordinates wrap at 2^32.
CODI_BOTH float normal(uint64_t seed, uint32_t image, uint32_t channel, uint32_t y, uint32_t x) {
    const Words words = philox({{x, y, channel, image}}, uint32_t(seed), uint32_t(seed >> 32));
    return float(inverse_normal((words.word[0] + 0.5) * (1.0 / 4294967296.0)));
}

}  // namespace codi
