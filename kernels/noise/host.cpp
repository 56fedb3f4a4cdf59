#include "../common/real.h"
#include "check.h"
#include "noise.h"

namespace {

template <class T>
void fill(const codi_noise& a, int64_t n) {
    T* out = static_cast<T*>(a.out);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < n / a.width; ++row) {
        const int64_t plane = row / a.height;
        const uint32_t image = a.image + uint32_t(plane / a.channels), channel = uint32_t(plane % a.channels);
        const uint32_t y = a.y + uint32_t(row % a.height);
        for (int64_t x = 0; x < a.width; ++x)
            out[row * a.width + x] = codi::to<T>(codi::normal(a.seed, image, channel, y, a.x + uint32_t(x)));
    }
}

}  // namespace

extern "C" int codi_noise_host(const codi_noise* a) {
    codi::Check check{"noise"};
    const int64_t n = codi::checked(a, check);
    if (check.status || n == 0) return check.status;
    a->type == CODI_FLOAT32 ? fill<float>(*a, n) : fill<codi::float16>(*a, n);
    return CODI_KERNELS_OK;
}
