#pragma once

#include "../common/check.h"

namespace codi {

// The number of values of `out`, or a failed check.
inline int64_t checked(const codi_geglu* arguments, Check& check) {
    if (!check.record(arguments)) return 0;
    const codi_geglu& a = *arguments;
    check.type(a.type);
    const int64_t n = check.elements("x", {a.rows, a.columns, 2}) / 2, size = bytes_of(a.type);
    const Tensor x{"x", a.x, 2 * n, size}, bias{"bias", a.bias, 2 * a.columns, size}, out{"out", a.out, n, size};
    for (const Tensor& t : {x, out}) check.tensor(t);
    check.tensor(bias, true);
    for (const Tensor& t : {x, bias}) check.apart(out, t);
    return check.status ? 0 : n;
}

}  // namespace codi
