#pragma once

#include <cmath>

#include "../common/check.h"

namespace codi {

// The number of elements, or a failed check.
inline int64_t checked(const codi_sampler_step* arguments, Check& check) {
    if (!check.record(arguments)) return 0;
    const codi_sampler_step& a = *arguments;
    check.type(a.type);
    const int64_t n = check.elements("z", {a.elements}), size = bytes_of(a.type);
    check.require(a.prediction_type >= CODI_EPSILON && a.prediction_type <= CODI_SAMPLE, CODI_KERNELS_VALUE,
                  "prediction type %d: expected 0 (epsilon), 1 (v_prediction) or 2 (sample)", a.prediction_type);
    for (double value : {a.alpha, a.sigma, a.mix_x, a.mix_z, a.mix_noise})
        check.require(std::isfinite(value), CODI_KERNELS_VALUE, "a constant is %g: expected a finite number", value);
    check.require(a.prediction_type != CODI_EPSILON || a.alpha != 0, CODI_KERNELS_VALUE,
                  "an epsilon prediction at alpha = 0 says nothing about x");
    const Tensor prediction{"prediction", a.prediction, n, size}, z{"z", a.z, n, size},
        noise{"noise", a.noise, n, size};
    const Tensor next{"next", a.next, n, size}, estimate{"estimate", a.estimate, n, size};
    for (const Tensor& t : {prediction, z}) check.tensor(t);
    for (const Tensor& t : {next, estimate}) check.tensor(t, true);
    check.tensor(noise, a.mix_noise == 0);
    check.require(a.next || a.estimate || n == 0, CODI_KERNELS_NULL, "next and estimate are both null");
    for (const Tensor& out : {next, estimate})
        for (const Tensor& t : {prediction, z, noise}) check.apart(out, t, true);
    check.apart(next, estimate);
    return check.status ? 0 : n;
}

}  // namespace codi
