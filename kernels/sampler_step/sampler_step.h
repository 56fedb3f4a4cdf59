// A sampler update as two sums. Every prediction type and both samplers are affine at a given step, so constants are
// formed once, in float64, and the elements see three products. The rules: codi_export/model/prediction.py and
// codi_export/samplers.
#pragma once

#include "../codi_kernels.h"
#include "../common/portable.h"

namespace codi {

struct StepConstants {
    float estimate_z, estimate_prediction;      // x = ... z + ... prediction
    float next_z, next_prediction, next_noise;  // next likewise

    CODI_BOTH float estimate(float prediction, float z) const {
        return estimate_z * z + estimate_prediction * prediction;
    }
    CODI_BOTH float next(float prediction, float z, float noise) const {
        return next_z * z + next_prediction * prediction + next_noise * noise;
    }
};

inline StepConstants constants_of(const codi_sampler_step& a) {
    double z = 0, prediction = 1;  // a sample is x itself
    if (a.prediction_type == CODI_EPSILON) z = 1 / a.alpha, prediction = -a.sigma / a.alpha;
    if (a.prediction_type == CODI_V_PREDICTION) z = a.alpha, prediction = -a.sigma;
    return {float(z), float(prediction), float(a.mix_x * z + a.mix_z), float(a.mix_x * prediction), float(a.mix_noise)};
}

}  // namespace codi
