// The engines of a bundle, as codi_export/engines.py writes them: which one runs here.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "bundle.h"

namespace codi::detail {

// What stands beside an engine: how it was made, and from what.
struct Engine {
    std::string graph, backend, version, golden, path, sha256;
    int sm;
    uint64_t bytes;
    std::map<std::string, std::string> sources;  // path -> SHA-256
};

Engine parse_engine(std::string_view json, const std::string& name);

// The engine of `graph` for this runtime and GPU: whole, of the weights that the bundle has now, and once compared with
// torch's output on a device. `version` "10.3.0", `sm` 87. Throws Failure: no-engine, which lists what there is;
// hash-mismatch; bad-bundle.
std::filesystem::path find_engine(const std::filesystem::path& folder, const Graph& graph, const std::string& version, int sm);

}  // namespace codi::detail
