#include "image_io.h"

#include "../common/cuda.h"
#include "../common/real.h"
#include "check.h"

namespace {

using namespace codi;

constexpr int kThreads = 256;

// Where channel 0 of a pixel lies, and how far it is to the next channel.
struct Place {
    int64_t first, step;

    __device__ Place(int layout, int pixel, int plane, int channels) {
        const int image = pixel / plane;
        const bool planar = layout == CODI_NCHW;
        first = planar ? int64_t(image) * plane * channels + (pixel - image * plane) : int64_t(pixel) * channels;
        step = planar ? plane : 1;
    }
};

// An output pixel to a thread. Columns of the source are mixed downwards first, as on the host.
template <class T, bool kEnlarge>
__global__ void __launch_bounds__(kThreads) run(codi_image_to_tensor a, int n) {
    const int pixel = blockIdx.x * kThreads + threadIdx.x;
    if (pixel >= n) return;
    const int width = int(a.width), height = int(a.height), out_width = int(a.out_width),
              out_height = int(a.out_height);
    const int channels = int(a.channels), x = pixel % out_width, y = pixel / out_width % out_height;
    const Place place(a.layout, pixel, out_width * out_height, channels);
    const int64_t image = pixel / (out_width * out_height);
    const uint8_t* from = static_cast<const uint8_t*>(a.image) + image * height * width * channels;
    T* out = static_cast<T*>(a.out) + place.first;
    if constexpr (kEnlarge) {
        const Taps across = taps_of(x, width, out_width), down = taps_of(y, height, out_height);
        const uint8_t* line[4];
        for (int k = 0; k < 4; ++k) line[k] = from + int64_t(down.place[k]) * width * channels;
        for (int c = 0; c < channels; ++c) {
            float mixed[4];
            for (int k = 0; k < 4; ++k) {
                const int i = across.place[k] * channels + c;
                mixed[k] = weighed(down, line[0][i], line[1][i], line[2][i], line[3][i]);
            }
            out[c * place.step] =
                to<T>(normalised(weighed(across, mixed[0], mixed[1], mixed[2], mixed[3]), a.gain, a.offset));
        }
    } else {
        from += (int64_t(y) * width + x) * channels;
        for (int c = 0; c < channels; ++c) out[c * place.step] = to<T>(normalised(from[c], a.gain, a.offset));
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads) run(codi_tensor_to_image a, int n) {
    const int pixel = blockIdx.x * kThreads + threadIdx.x;
    if (pixel >= n) return;
    const int channels = int(a.channels);
    const Place place(a.layout, pixel, int(a.height * a.width), channels);
    const T* from = static_cast<const T*>(a.tensor) + place.first;
    uint8_t* out = static_cast<uint8_t*>(a.image) + int64_t(pixel) * channels;
    for (int c = 0; c < channels; ++c) out[c] = level_of(to_float(from[c * place.step]));
}

}  // namespace

extern "C" int codi_image_to_tensor_cuda(const codi_image_to_tensor* a, void* stream) {
    Check check{"image_to_tensor"};
    const int n = int(checked(a, check));
    if (check.status || n == 0) return check.status;
    const bool enlarge = a->height != a->out_height || a->width != a->out_width;
    const auto kernel = a->type == CODI_FLOAT32 ? (enlarge ? run<float, true> : run<float, false>)
                                                : (enlarge ? run<float16, true> : run<float16, false>);
    return launch("image_to_tensor", kernel, blocks(n, kThreads), kThreads, stream, *a, n);
}

extern "C" int codi_tensor_to_image_cuda(const codi_tensor_to_image* a, void* stream) {
    Check check{"tensor_to_image"};
    const int n = int(checked(a, check));
    if (check.status || n == 0) return check.status;
    void (*const kernel)(codi_tensor_to_image, int) = a->type == CODI_FLOAT32 ? run<float> : run<float16>;
    return launch("tensor_to_image", kernel, blocks(n, kThreads), kThreads, stream, *a, n);
}
