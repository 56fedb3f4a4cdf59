#include "../common/cuda.h"
#include "../common/real.h"
#include "check.h"
#include "noise.h"

namespace {

constexpr int kThreads = 256;

// One value a thread: float64 arithmetic is what takes time here, not memory.
template <class T>
__global__ void __launch_bounds__(kThreads) fill(codi_noise a, int n) {
    const int i = blockIdx.x * kThreads + threadIdx.x;
    if (i >= n) return;
    const int width = int(a.width), height = int(a.height), channels = int(a.channels);
    const int row = i / width, plane = row / height, image = plane / channels;
    static_cast<T*>(a.out)[i] =
        codi::to<T>(codi::normal(a.seed, a.image + uint32_t(image), uint32_t(plane - image * channels),
                                 a.y + uint32_t(row - plane * height), a.x + uint32_t(i - row * width)));
}

}  // namespace

extern "C" int codi_noise_cuda(const codi_noise* a, void* stream) {
    codi::Check check{"noise"};
    const int n = int(codi::checked(a, check));
    if (check.status || n == 0) return check.status;
    const auto kernel = a->type == CODI_FLOAT32 ? fill<float> : fill<codi::float16>;
    return codi::launch("noise", kernel, codi::blocks(n, kThreads), kThreads, stream, *a, n);
}
