#pragma once

#include <cmath>

#include "../common/check.h"
#include "group_norm_silu.h"

namespace codi {

// Sizes and constants. The number of values of v.
inline int64_t checked_sizes(const codi_group_norm_silu* arguments, Check& check) {
    if (!check.record(arguments)) return 0;
    const codi_group_norm_silu& a = *arguments;
    check.type(a.type);
    const int64_t n = check.elements("out", {a.batch, a.positions, a.channels});
    check.require(a.groups >= 1 && a.channels % a.groups == 0, CODI_KERNELS_SIZE,
                  "%lld channels in %lld groups: expected a whole number in each", (long long)a.channels,
                  (long long)a.groups);
    check.require(a.second_channels >= 0 && a.second_channels < a.channels + (a.channels == 0), CODI_KERNELS_SIZE,
                  "second has %lld of %lld channels: expected 0 to one less than all", (long long)a.second_channels,
                  (long long)a.channels);
    check.require(std::isfinite(a.epsilon) && a.epsilon >= 0, CODI_KERNELS_VALUE, "epsilon is %g: expected 0 or more",
                  double(a.epsilon));
    return check.status ? 0 : n;
}

inline int64_t workspace_bytes(const codi_group_norm_silu& a) {
    if (a.batch * a.positions * a.channels == 0) return 0;
    return a.batch * a.groups * splits_of(a.positions, a.channels).count * int64_t(sizeof(Moments));
}

// Everything. The number of values, or a failed check.
inline int64_t checked(const codi_group_norm_silu* arguments, Check& check) {
    const int64_t n = checked_sizes(arguments, check);
    if (check.status) return 0;
    const codi_group_norm_silu& a = *arguments;
    const int64_t size = bytes_of(a.type), pixels = a.batch * a.positions, needed = workspace_bytes(a);
    const Tensor x{"x", a.x, pixels * (a.channels - a.second_channels), size};
    const Tensor second{"second", a.second, pixels * a.second_channels, size};
    const Tensor shift{"shift", a.shift, a.batch * a.channels, size}, residual{"residual", a.residual, n, size};
    const Tensor weight{"weight", a.weight, a.channels, size}, bias{"bias", a.bias, a.channels, size};
    const Tensor out{"out", a.out, n, size}, workspace{"workspace", a.workspace, needed / 8, 8};
    for (const Tensor& t : {x, second, out, workspace}) check.tensor(t);
    for (const Tensor& t : {shift, residual, weight, bias}) check.tensor(t, true);
    check.require(a.workspace_bytes >= needed, CODI_KERNELS_WORKSPACE, "the workspace has %lld bytes: expected %lld",
                  (long long)a.workspace_bytes, (long long)needed);
    for (const Tensor& t : {x, residual}) check.apart(out, t, true);
    for (const Tensor& t : {second, shift, weight, bias, workspace}) check.apart(out, t);
    for (const Tensor& t : {x, second, shift, residual, weight, bias}) check.apart(workspace, t);
    return check.status ? 0 : n;
}

}  // namespace codi
