#include "geglu.h"

#include "../common/cuda.h"
#include "../common/pack.h"
#include "check.h"

namespace {

using namespace codi;

constexpr int kThreads = 256;

// A pack of a row to a thread.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads) run(codi_geglu a, int packs) {
    const int pack = blockIdx.x * kThreads + threadIdx.x;
    if (pack >= packs) return;
    const int columns = int(a.columns), each = columns / kWidth, row = pack / each,
              column = (pack - row * each) * kWidth;
    const T* x = static_cast<const T*>(a.x) + int64_t(row) * 2 * columns + column;
    float value[kWidth], gate[kWidth];
    load(x, value);
    load(x + columns, gate);
    if (a.bias) {
        const T* bias = static_cast<const T*>(a.bias) + column;
        float more_value[kWidth], more_gate[kWidth];
        load(bias, more_value);
        load(bias + columns, more_gate);
        for (int k = 0; k < kWidth; ++k) value[k] += more_value[k], gate[k] += more_gate[k];
    }
    for (int k = 0; k < kWidth; ++k) value[k] = geglu(value[k], gate[k]);
    store(value, static_cast<T*>(a.out) + int64_t(pack) * kWidth);
}

template <class T>
int run(const codi_geglu& a, int64_t n, void* stream) {
    constexpr int width = kPack<T>;
    const bool packed = a.columns % width == 0 && aligned(a.x, a.bias, a.out);
    const int packs = int(packed ? n / width : n);
    return launch("geglu", packed ? run<T, width> : run<T, 1>, blocks(packs, kThreads), kThreads, stream, a, packs);
}

}  // namespace

extern "C" int codi_geglu_cuda(const codi_geglu* a, void* stream) {
    Check check{"geglu"};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    return a->type == CODI_FLOAT32 ? run<float>(*a, n, stream) : run<float16>(*a, n, stream);
}
