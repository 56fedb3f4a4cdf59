#include "engines.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "failure.h"

namespace codi::detail {
namespace fs = std::filesystem;
namespace {

const char* const BACKEND = "tensorrt";
const char* const FINALIZE = "on this device: codi-export finalize";

// The graph and every file that it may read weights from, with their SHA-256.
std::map<std::string, std::string> sources(const Manifest& manifest, const Graph& graph) {
    std::map<std::string, std::string> found;
    const std::string kind = graph.precision.compare(0, 4, "int8") == 0 ? ".int8" : "";  // int8-weights too
    for (const FileEntry& entry : manifest.files)
        for (const std::string& name : {"backbone" + kind, "encoder" + kind, graph.task, graph.name})
            if (entry.path == graph.path || entry.path == "graphs/" + name + ".safetensors") found[entry.path] = entry.sha256;
    return found;
}

std::vector<fs::path> sidecars(const fs::path& folder) {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& file : fs::directory_iterator(folder / "engines", none))
        if (file.path().extension() == ".json") found.push_back(file.path());
    std::sort(found.begin(), found.end());
    return found;
}

// 10.3.0 is 10.3.0.26.
bool same_version(const std::string& a, const std::string& b) { return (a + ".").rfind(b + ".", 0) == 0 || (b + ".").rfind(a + ".", 0) == 0; }

fs::path whole(const fs::path& folder, const Engine& engine) {
    const fs::path path = inside(folder, engine.path);
    if (!fs::is_regular_file(path) || fs::file_size(path) != engine.bytes || sha256(path) != engine.sha256)
        fail(CODI_HASH_MISMATCH, path.string() + " is not the engine that was built", FINALIZE);
    if (engine.golden.empty())
        fail(CODI_NO_ENGINE, path.string() + " was built ahead of time and never compared with torch's output", FINALIZE);
    return path;
}

}  // namespace

fs::path find_engine(const fs::path& folder, const Graph& graph, const std::string& version, int sm) {
    const auto now = sources(read_manifest(folder), graph);
    std::string others;
    for (const fs::path& sidecar : sidecars(folder)) {
        std::ifstream file(sidecar, std::ios::binary);
        const Engine engine = parse_engine(std::string{std::istreambuf_iterator<char>(file), {}}, sidecar.string());
        if (engine.graph != graph.name) continue;
        const bool current = engine.sources == now;
        if (current && engine.backend == BACKEND && engine.sm == sm && same_version(engine.version, version)) return whole(folder, engine);
        others += (others.empty() ? "" : "; ") + engine.backend + " " + engine.version + " on SM " + std::to_string(engine.sm) + (current ? "" : ", for other weights");
    }
    fail(CODI_NO_ENGINE, "no engine of " + graph.name + " for tensorrt " + version + " on SM " + std::to_string(sm) + "; there is " + (others.empty() ? "none at all" : others),
         FINALIZE);
}

}  // namespace codi::detail
