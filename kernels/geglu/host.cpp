#include "../common/real.h"
#include "check.h"
#include "geglu.h"

namespace {

using namespace codi;

constexpr int kTile = 512;

template <class T>
void run(const codi_geglu& a) {
    const T *x = static_cast<const T*>(a.x), *bias = static_cast<const T*>(a.bias);
    const int64_t tiles = (a.columns + kTile - 1) / kTile;
#pragma omp parallel for schedule(static)
    for (int64_t piece = 0; piece < a.rows * tiles; ++piece) {
        const int64_t row = piece / tiles, first = piece % tiles * kTile;
        const int n = int(std::min<int64_t>(kTile, a.columns - first));
        float value[kTile], gate[kTile];
        const T* from = x + row * 2 * a.columns + first;
        for (int c = 0; c < n; ++c) value[c] = to_float(from[c]), gate[c] = to_float(from[a.columns + c]);
        if (bias)
            for (int c = 0; c < n; ++c)
                value[c] += to_float(bias[first + c]), gate[c] += to_float(bias[a.columns + first + c]);
        T* out = static_cast<T*>(a.out) + row * a.columns + first;
        for (int c = 0; c < n; ++c) out[c] = to<T>(geglu(value[c], gate[c]));
    }
}

}  // namespace

extern "C" int codi_geglu_host(const codi_geglu* a) {
    Check check{"geglu"};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    a->type == CODI_FLOAT32 ? run<float>(*a) : run<float16>(*a);
    return CODI_KERNELS_OK;
}
