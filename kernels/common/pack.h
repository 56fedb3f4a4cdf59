// Several elements that lie beside each other, as float32. Sixteen bytes move in one access: the caller sees to it that
// they are aligned.
#pragma once

#include "real.h"

#if !defined(__CUDACC__) && !defined(CODI_EMULATOR)
#error "pack.h is for device code"
#endif

namespace codi {

// As many as fit into sixteen bytes.
template <class T>
constexpr int kPack = 16 / int(sizeof(T));

template <class T, int n>
CODI_BOTH void load(const T* from, float (&to)[n]) {
    T values[n];
    if constexpr (n * sizeof(T) == 16) {
        const uint4 raw = *reinterpret_cast<const uint4*>(from);  // a struct of n would be read element by element
        memcpy(values, &raw, sizeof raw);
    } else {
        for (int i = 0; i < n; ++i) values[i] = from[i];
    }
    for (int i = 0; i < n; ++i) to[i] = to_float(values[i]);
}

template <class T, int n>
CODI_BOTH void store(const float (&from)[n], T* out) {
    T values[n];
    for (int i = 0; i < n; ++i) values[i] = to<T>(from[i]);
    if constexpr (n * sizeof(T) == 16) {
        uint4 raw;
        memcpy(&raw, values, sizeof raw);
        *reinterpret_cast<uint4*>(out) = raw;
    } else {
        for (int i = 0; i < n; ++i) out[i] = values[i];
    }
}

// Whether sixteen bytes may move at once from each of these places.
template <class... Pointers>
bool aligned(Pointers... pointers) {
    return (... && (reinterpret_cast<uintptr_t>(pointers) % 16 == 0));
}

}  // namespace codi
