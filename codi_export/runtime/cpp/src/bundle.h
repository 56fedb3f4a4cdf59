// A bundle as codi_export/bundle.py writes it: its manifest, read and checked.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "codi.h"

namespace codi::detail {

constexpr int SCHEMA_VERSION = 1;
constexpr size_t MOST_ELEMENTS = size_t{1} << 31;  // of a tensor

struct TensorSpec {
    std::string name, dtype;     // uint8, float32
    std::vector<int64_t> shape;  // every size is fixed

    size_t elements() const;
    size_t bytes() const { return elements() * (dtype == "uint8" ? 1 : 4); }
};

struct Graph {
    std::string name, task, path, golden, precision;
    int steps, scale, latent_factor;
    std::vector<TensorSpec> inputs, outputs;

    const TensorSpec* input(std::string_view name) const;  // NULL if the graph does not take it
};

struct FileEntry {
    std::string path;
    uint64_t bytes;
    std::string sha256, layout;
};

struct Manifest {
    std::vector<Graph> graphs;
    std::vector<FileEntry> files;
};

// Throw Failure: missing-file, bad-bundle, newer-schema, hash-mismatch.
Manifest read_manifest(const std::filesystem::path& folder);
Manifest parse_manifest(std::string_view json, const std::string& name);
void check_files(const std::filesystem::path& folder, const Manifest& manifest, int32_t how);

// `folder/relative`, for paths that somebody else wrote: a Failure (bad-bundle) if it leaves the folder.
std::filesystem::path inside(const std::filesystem::path& folder, const std::string& relative);

std::string sha256(const std::filesystem::path& file);

// The graph that these choices name: `task` may be empty, `steps` 0. Throws Failure (unknown-name, bad-argument).
const Graph& select(const Manifest& manifest, const std::string& task, int steps);

// The picture's place in the bundle's terms; a Failure (bad-bundle) for a graph that codi_run could not call.
void require_callable(const Graph& graph);

}  // namespace codi::detail
