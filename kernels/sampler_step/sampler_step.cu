#include "sampler_step.h"

#include "../common/cuda.h"
#include "../common/pack.h"
#include "check.h"

namespace {

using namespace codi;

constexpr int kThreads = 256;

// A pack to a thread. It is read before it is written, so outputs may be inputs.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) run(codi_sampler_step a, StepConstants constants, int packs) {
    const int pack = blockIdx.x * kThreads + threadIdx.x;
    if (pack >= packs) return;
    const int64_t first = int64_t(pack) * kWidth;
    float prediction[kWidth], z[kWidth], noise[kWidth] = {}, out[kWidth];
    load(static_cast<const T*>(a.prediction) + first, prediction);
    load(static_cast<const T*>(a.z) + first, z);
    if (a.noise) load(static_cast<const T*>(a.noise) + first, noise);
    if (a.next) {
        for (int k = 0; k < kWidth; ++k) out[k] = constants.next(prediction[k], z[k], noise[k]);
        store(out, static_cast<T*>(a.next) + first);
    }
    if (a.estimate) {
        for (int k = 0; k < kWidth; ++k) out[k] = constants.estimate(prediction[k], z[k]);
        store(out, static_cast<T*>(a.estimate) + first);
    }
}

template <class T>
int run(const codi_sampler_step& a, int64_t n, void* stream) {
    constexpr int width = kPack<T>;
    const bool packed = n % width == 0 && aligned(a.prediction, a.z, a.noise, a.next, a.estimate);
    const int packs = int(packed ? n / width : n);
    const auto kernel = packed ? run<T, width> : run<T, 1>;
    return launch("sampler_step", kernel, blocks(packs, kThreads), kThreads, stream, a, constants_of(a), packs);
}

}  // namespace

extern "C" int codi_sampler_step_cuda(const codi_sampler_step* a, void* stream) {
    Check check{"sampler_step"};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    return a->type == CODI_FLOAT32 ? run<float>(*a, n, stream) : run<float16>(*a, n, stream);
}
