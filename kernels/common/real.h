// The element types of tensors. Arithmetic is float32; float16 is how values are stored.
#pragma once

#include "portable.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace codi {

struct float16 {
    uint16_t bits;
};

// Rounds to nearest, ties to even; subnormal numbers, infinities and NaN are kept.
CODI_BOTH float16 to_float16(float value) {
#ifdef __CUDA_ARCH__
    return float16{__half_as_ushort(__float2half_rn(value))};
#else
    const uint32_t bits = bits_as<uint32_t>(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    // Normal: rebias the exponent and round the 13 bits that go. Subnormal: adding 0.5 lets the adder round.
    const uint32_t normal = (magnitude - (112u << 23) + 0xFFF + (magnitude >> 13 & 1)) >> 13;
    const uint32_t subnormal = bits_as<uint32_t>(bits_as<float>(magnitude) + 0.5f) - 0x3F000000u;
    const uint32_t finite = magnitude < (113u << 23) ? subnormal : normal;
    const uint32_t large = magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u;
    return float16{uint16_t(sign | (magnitude >= 0x477FF000u ? large : finite))};
#endif
}

CODI_BOTH float to_float(float16 value) {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(value.bits));
#else
    const uint32_t sign = uint32_t(value.bits & 0x8000) << 16, magnitude = uint32_t(value.bits & 0x7FFF) << 13;
    // The exponents' biases differ by 112. The product with 2^112 is exact, and makes subnormal numbers right.
    const float finite = bits_as<float>(magnitude) * bits_as<float>(239u << 23);
    const uint32_t bits = magnitude >= (31u << 23) ? magnitude | 0x7F800000u : bits_as<uint32_t>(finite);
    return bits_as<float>(sign | bits);
#endif
}

CODI_BOTH float to_float(float value) { return value; }

template <class T>
CODI_BOTH T to(float value);
template <>
CODI_BOTH float to<float>(float value) {
    return value;
}
template <>
CODI_BOTH float16 to<float16>(float value) {
    return to_float16(value);
}

}  // namespace codi
