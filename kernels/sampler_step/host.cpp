#include "../common/real.h"
#include "check.h"
#include "sampler_step.h"

namespace {

using namespace codi;

constexpr int kTile = 1024;

template <class T>
void read(const void* from, int64_t first, int n, float* to) {
    for (int i = 0; i < n; ++i) to[i] = to_float(static_cast<const T*>(from)[first + i]);
}

template <class T>
void write(const float* from, int64_t first, int n, void* out) {
    for (int i = 0; i < n; ++i) static_cast<T*>(out)[first + i] = to<T>(from[i]);
}

template <class T>
void run(const codi_sampler_step& a) {
    const StepConstants constants = constants_of(a);
#pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < a.elements; first += kTile) {
        const int n = int(std::min<int64_t>(kTile, a.elements - first));
        float prediction[kTile], z[kTile], noise[kTile] = {}, next[kTile], estimate[kTile];
        read<T>(a.prediction, first, n, prediction);
        read<T>(a.z, first, n, z);
        if (a.noise) read<T>(a.noise, first, n, noise);
        for (int i = 0; i < n; ++i) {
            next[i] = constants.next(prediction[i], z[i], noise[i]);
            estimate[i] = constants.estimate(prediction[i], z[i]);
        }
        if (a.next) write<T>(next, first, n, a.next);
        if (a.estimate) write<T>(estimate, first, n, a.estimate);
    }
}

}  // namespace

extern "C" int codi_sampler_step_host(const codi_sampler_step* a) {
    Check check{"sampler_step"};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    a->type == CODI_FLOAT32 ? run<float>(*a) : run<float16>(*a);
    return CODI_KERNELS_OK;
}
