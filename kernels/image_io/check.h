#pragma once

#include <cmath>

#include "../common/check.h"

namespace codi {

inline void check_picture(int64_t channels, int32_t layout, Check& check) {
    check.require(channels >= 1 && channels <= 4, CODI_KERNELS_SIZE, "%lld channels: expected 1 to 4",
                  (long long)channels);
    check.require(layout == CODI_NCHW || layout == CODI_NHWC, CODI_KERNELS_VALUE,
                  "layout %d: expected 0 (NCHW) or 1 (NHWC)", layout);
}

// The number of output pixels, or a failed check.
inline int64_t checked(const codi_image_to_tensor* arguments, Check& check) {
    if (!check.record(arguments)) return 0;
    const codi_image_to_tensor& a = *arguments;
    check.type(a.type);
    check_picture(a.channels, a.layout, check);
    const int64_t given = check.elements("image", {a.batch, a.height, a.width, a.channels});
    const int64_t made = check.elements("out", {a.batch, a.out_height, a.out_width, a.channels});
    check.require(a.out_height >= a.height && a.out_width >= a.width, CODI_KERNELS_SIZE,
                  "%lldx%lld from %lldx%lld: expected no smaller picture", (long long)a.out_height,
                  (long long)a.out_width, (long long)a.height, (long long)a.width);
    check.require(made == 0 || (a.height > 0 && a.width > 0), CODI_KERNELS_SIZE,
                  "a picture of %lldx%lld from an empty one", (long long)a.out_height, (long long)a.out_width);
    check.require(a.out_height <= INT16_MAX && a.out_width <= INT16_MAX, CODI_KERNELS_SIZE,
                  "%lldx%lld: expected sides of at most 32767", (long long)a.out_height, (long long)a.out_width);
    check.require(std::isfinite(a.gain) && std::isfinite(a.offset), CODI_KERNELS_VALUE,
                  "gain %g and offset %g: expected finite numbers", double(a.gain), double(a.offset));
    const Tensor image{"image", a.image, given, 1}, out{"out", a.out, made, bytes_of(a.type)};
    for (const Tensor& t : {image, out}) check.tensor(t);
    check.apart(out, image);
    return check.status ? 0 : made / a.channels;
}

// The number of pixels, or a failed check.
inline int64_t checked(const codi_tensor_to_image* arguments, Check& check) {
    if (!check.record(arguments)) return 0;
    const codi_tensor_to_image& a = *arguments;
    check.type(a.type);
    check_picture(a.channels, a.layout, check);
    const int64_t n = check.elements("image", {a.batch, a.height, a.width, a.channels});
    const Tensor tensor{"tensor", a.tensor, n, bytes_of(a.type)}, image{"image", a.image, n, 1};
    for (const Tensor& t : {tensor, image}) check.tensor(t);
    check.apart(image, tensor);
    return check.status ? 0 : n / a.channels;
}

}  // namespace codi
