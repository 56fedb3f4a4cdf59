#include "bundle.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "failure.h"
#include "safetensors.h"
#include "sha256.h"

namespace codi::detail {
namespace fs = std::filesystem;
namespace {

const char* const REBUILD = "build the bundle again";
const std::set<std::string> INPUTS = {"image", "mask", "noise", "prompt_embeds", "pooled_prompt_embeds", "adapter_scale"};
const std::set<std::string> PICKLES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle"};

std::string layout(const fs::path& path) {
    const std::string header = read_header(path);
    Sha256 digest;
    digest.update(header.data(), header.size());
    return digest.hex();
}

void refuse_pickles(const fs::path& folder) {
    for (const auto& file : fs::recursive_directory_iterator(folder)) {
        std::string suffix = file.path().extension().string();
        std::transform(suffix.begin(), suffix.end(), suffix.begin(), [](unsigned char c) { return std::tolower(c); });
        if (PICKLES.count(suffix)) fail(CODI_BAD_BUNDLE, file.path().string() + " is a pickle file", "remove it; weights are safetensors files");
    }
}

void check_file(const fs::path& folder, const FileEntry& entry, int32_t how) {
    const fs::path path = inside(folder, entry.path);
    const auto changed = [&](const std::string& what) {
        fail(CODI_HASH_MISMATCH, path.string() + " " + what, "build the bundle again, or copy it anew");
    };
    if (!fs::is_regular_file(path)) changed("is missing");
    if (fs::file_size(path) != entry.bytes)
        changed("has " + std::to_string(fs::file_size(path)) + " bytes, expected " + std::to_string(entry.bytes));
    if (how == CODI_CHECK_HASH && sha256(path) != entry.sha256) changed("has changed since it was built (SHA-256 differs)");
    if (how == CODI_CHECK_SIZE && !entry.layout.empty() && layout(path) != entry.layout)
        changed("has another layout than the graphs read: its tensors lie elsewhere");
}

void check_paths(const fs::path& folder, const Manifest& manifest) {
    std::set<std::string> listed;
    for (const FileEntry& entry : manifest.files) inside(folder, entry.path), listed.insert(entry.path);
    for (const Graph& graph : manifest.graphs)
        for (const std::string& path : {graph.path, graph.golden})
            if (!path.empty() && (inside(folder, path), !listed.count(path)))
                fail(CODI_BAD_BUNDLE, (folder / "codi.json").string() + ": " + path + " has no hash", REBUILD);
}

}  // namespace

std::string sha256(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<char> block(1 << 20);
    Sha256 digest;
    while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0)
        digest.update(block.data(), static_cast<size_t>(file.gcount()));
    return digest.hex();
}

size_t TensorSpec::elements() const {
    size_t n = 1;
    for (int64_t size : shape) n *= static_cast<size_t>(size);
    return n;
}

const TensorSpec* Graph::input(std::string_view called) const {
    for (const TensorSpec& spec : inputs)
        if (spec.name == called) return &spec;
    return nullptr;
}

Manifest read_manifest(const fs::path& folder) {
    const fs::path path = folder / "codi.json";
    if (!fs::exists(folder)) fail(CODI_MISSING_FILE, "no bundle at " + folder.string(), "codi-export build makes one");
    if (!fs::is_regular_file(path)) {
        const bool unfinished = fs::exists(folder / ".codi-build.json");
        fail(CODI_BAD_BUNDLE, folder.string() + (unfinished ? " is an unfinished build" : " is not a bundle: it holds no codi.json"),
             unfinished ? "run the same `codi-export build` again" : "codi-export build makes one");
    }
    std::ifstream file(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const Manifest manifest = parse_manifest(bytes, path.string());
    check_paths(folder, manifest);
    return manifest;
}

void check_files(const fs::path& folder, const Manifest& manifest, int32_t how) {
    refuse_pickles(folder);
    for (const FileEntry& entry : manifest.files) check_file(folder, entry, how);
}

fs::path inside(const fs::path& folder, const std::string& relative) {
    const fs::path pure = relative;
    bool plain = !relative.empty() && pure.is_relative() && relative.find_first_of(std::string("\\:\0", 3)) == std::string::npos;
    for (const fs::path& part : pure) plain = plain && part != "..";
    if (plain) {
        const fs::path from = fs::weakly_canonical(folder), to = fs::weakly_canonical(folder / pure);
        plain = std::mismatch(from.begin(), from.end(), to.begin(), to.end()).first == from.end();
    }
    if (!plain) fail(CODI_BAD_BUNDLE, "path '" + relative + "' leaves " + folder.string(), "paths in a bundle are relative and stay inside it");
    return folder / pure;
}

const Graph& select(const Manifest& manifest, const std::string& task, int steps) {
    std::string tasks, built;
    std::set<std::string> seen;
    const Graph* found = nullptr;
    for (const Graph& graph : manifest.graphs) {
        if (seen.insert(graph.task).second) tasks += (tasks.empty() ? "" : ", ") + graph.task;
        if (!task.empty() && graph.task != task) continue;
        built += (built.empty() ? "" : ", ") + std::to_string(graph.steps);
        if (!found && (!steps || steps == graph.steps)) found = &graph;
    }
    if (task.empty() && seen.size() > 1) fail(CODI_BAD_ARGUMENT, "the bundle has several tasks: " + tasks, "choose one in codi_options.task");
    if (built.empty()) fail(CODI_UNKNOWN_NAME, "unknown task '" + task + "'; this bundle has: " + tasks);
    if (!found) fail(CODI_BAD_ARGUMENT, "no graph with " + std::to_string(steps) + " steps; this bundle has: " + built);
    return *found;
}

void require_callable(const Graph& graph) {
    const auto bad = [&](const std::string& what) { fail(CODI_BAD_BUNDLE, graph.path + " " + what, REBUILD); };
    std::set<std::string> seen;
    for (const TensorSpec& spec : graph.inputs) {
        if (!INPUTS.count(spec.name)) bad("has an input that is not known here: " + spec.name);
        if (!seen.insert(spec.name).second) bad("has two inputs '" + spec.name + "'");
        const bool bytes = spec.name == "image" || spec.name == "mask";
        if (spec.dtype != (bytes ? "uint8" : "float32")) bad("takes " + spec.name + " as " + spec.dtype);
    }
    const TensorSpec *image = graph.input("image"), *noise = graph.input("noise"), *mask = graph.input("mask");
    const TensorSpec *prompt = graph.input("prompt_embeds"), *pooled = graph.input("pooled_prompt_embeds"), *scale = graph.input("adapter_scale");
    if (!image || image->shape.size() != 4 || image->shape[3] != 3) bad("has no input 'image' [B, H, W, 3]");
    const int64_t b = image->shape[0], h = image->shape[1], w = image->shape[2];
    if (!noise || noise->shape.size() != 4 || noise->shape[0] != b) bad("has no input 'noise' [B, C, h, w]");
    if (mask && mask->shape != std::vector<int64_t>{b, h, w, 1}) bad("takes a mask that is not [B, H, W, 1]");
    if (prompt && (prompt->shape.size() != 3 || prompt->shape[0] != b)) bad("takes prompt_embeds that are not [B, T, D]");
    if (pooled && (!prompt || pooled->shape.size() != 2 || pooled->shape[0] != b)) bad("takes pooled_prompt_embeds that are not [B, P] beside a prompt");
    if (scale && !scale->shape.empty()) bad("takes an adapter_scale that is not []");
    const std::vector<int64_t> large = {b, h * graph.scale, w * graph.scale, 3};
    if (graph.outputs.empty() || graph.outputs[0].dtype != "uint8" || graph.outputs[0].shape != large || graph.outputs[0].elements() > MOST_ELEMENTS)
        bad("has no output uint8 [B, H', W', 3] that is " + std::to_string(graph.scale) + " times as large as its image");
}

}  // namespace codi::detail
