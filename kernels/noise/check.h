#pragma once

#include "../common/check.h"

namespace codi {

// The number of values, or a failed check.
inline int64_t checked(const codi_noise* arguments, Check& check) {
    if (!check.record(arguments)) return 0;
    const codi_noise& a = *arguments;
    check.type(a.type);
    const int64_t n = check.elements("out", {a.batch, a.channels, a.height, a.width});
    check.tensor({"out", a.out, n, bytes_of(a.type)});
    return n;
}

}  // namespace codi
