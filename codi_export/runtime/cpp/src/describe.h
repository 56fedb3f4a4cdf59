// What codi_inspect answers.
#pragma once
#include <string>

#include "bundle.h"

namespace codi::detail {

std::string describe(const Graph& graph, const codi_options& options, const std::string& runtime);

}  // namespace codi::detail
