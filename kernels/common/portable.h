// One definition for CUDA, for C++17 and for the emulator of the tests: what differs between them is here and nowhere
// else.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define CODI_BOTH __host__ __device__ inline
#else
#define CODI_BOTH inline
#endif

namespace codi {

// The same bits as another type of the same size.
template <class To, class From>
CODI_BOTH To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "bits_as: sizes differ");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

}  // namespace codi
