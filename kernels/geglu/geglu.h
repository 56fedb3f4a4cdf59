// GEGLU: Shazeer, "GLU variants improve transformer", arXiv 2002.05202.
#pragma once

#include "../common/math.h"

namespace codi {

CODI_BOTH float geglu(float value, float gate) { return value * gelu(gate); }

}  // namespace codi
