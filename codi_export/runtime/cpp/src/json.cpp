// All JSON that is read or written: manifests, headers of safetensors files, what codi_inspect answers.
#include <nlohmann/json.hpp>

#include "bundle.h"
#include "describe.h"
#include "engines.h"
#include "failure.h"
#include "safetensors.h"

namespace codi::detail {
namespace {

using Json = nlohmann::json;

constexpr int64_t LONGEST = 1 << 20;  // a side, or a number of channels
const char* const REBUILD = "build the bundle again";

// A member of exactly that type: 1 is no string, 1.0 no whole number.
std::string text(const Json& object, const char* key) { return object.at(key).get_ref<const std::string&>(); }

int64_t whole(const Json& value) {
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX))
        throw std::invalid_argument("expected a whole number, got " + value.dump());
    return value.get<int64_t>();
}

int64_t whole(const Json& object, const char* key, int64_t least, int64_t most) {
    const int64_t n = whole(object.at(key));
    if (n < least || n > most) throw std::invalid_argument(std::string(key) + " is " + std::to_string(n));
    return n;
}

const Json& list(const Json& object, const char* key) {
    const Json& value = object.at(key);
    if (!value.is_array()) throw std::invalid_argument(std::string(key) + " is not a list");
    return value;
}

TensorSpec tensor(const Json& json) {
    TensorSpec spec{text(json, "name"), text(json, "dtype"), {}};
    if (spec.dtype != "uint8" && spec.dtype != "float32") throw std::invalid_argument(spec.name + " has the type " + spec.dtype);
    for (const Json& size : list(json, "shape")) {
        const int64_t n = size.is_string() ? 0 : whole(size);
        if (n < 1 || n > LONGEST) throw std::invalid_argument(spec.name + " has the size " + size.dump() + "; expected fixed ones");
        spec.shape.push_back(n);
        if (spec.elements() > MOST_ELEMENTS) throw std::invalid_argument(spec.name + " is too large");
    }
    return spec;
}

std::vector<TensorSpec> tensors(const Json& json, const char* key) {
    std::vector<TensorSpec> specs;
    for (const Json& item : list(json, key)) specs.push_back(tensor(item));
    return specs;
}

Graph graph(const Json& json) {
    return {text(json, "name"),
            text(json, "task"),
            text(json, "path"),
            text(json, "golden"),
            text(json, "precision"),
            static_cast<int>(list(json.at("schedule"), "steps").size()),
            static_cast<int>(whole(json, "scale", 1, 64)),
            static_cast<int>(whole(json, "latent_factor", 1, 64)),
            tensors(json, "inputs"),
            tensors(json, "outputs")};
}

FileEntry entry(const Json& json) {
    return {text(json, "path"), static_cast<uint64_t>(whole(json, "bytes", 0, INT64_MAX)), text(json, "sha256"),
            json.contains("layout") ? text(json, "layout") : ""};
}

const std::map<std::string, uint64_t> BITS = {{"BOOL", 8},    {"U8", 8},   {"I8", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"U16", 16},
                                              {"I16", 16},   {"F16", 16}, {"BF16", 16}, {"U32", 32},    {"I32", 32},    {"F32", 32},
                                              {"U64", 64},   {"I64", 64}, {"F64", 64}};

StoredTensor stored(const std::string& name, const nlohmann::json& entry, uint64_t data_bytes) {
    StoredTensor t;
    t.dtype = entry.at("dtype").get<std::string>();
    const auto bits = BITS.find(t.dtype);
    if (bits == BITS.end()) damaged(name + " has the type " + t.dtype);
    uint64_t expected = bits->second / 8;
    for (const auto& size : entry.at("shape")) {
        if (!size.is_number_unsigned()) damaged(name + ": a size is not a whole number");
        const auto n = size.get<uint64_t>();
        if (n > MOST_HEADER || (n && expected > UINT64_MAX / n / 2)) damaged(name + " is too large");
        expected *= n;
        t.shape.push_back(static_cast<int64_t>(n));
    }
    const auto& offsets = entry.at("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
        damaged(name + " has no place");
    t.begin = offsets[0].get<uint64_t>(), t.end = offsets[1].get<uint64_t>();
    if (t.begin > t.end || t.end > data_bytes) damaged(name + " lies outside the file");
    if (t.end - t.begin != expected) damaged(name + " has not the bytes that its shape takes");
    return t;
}

Json to_json(const std::vector<TensorSpec>& specs) {
    auto list = Json::array();
    for (const TensorSpec& spec : specs) list.push_back({{"name", spec.name}, {"dtype", spec.dtype}, {"shape", spec.shape}});
    return list;
}

}  // namespace

Manifest parse_manifest(std::string_view bytes, const std::string& name) {
    try {
        const Json json = Json::parse(bytes);
        if (!json.is_object()) throw std::invalid_argument("expected an object");
        if (const int64_t schema = whole(json.at("schema")); schema > SCHEMA_VERSION)
            fail(CODI_NEWER_SCHEMA, name + " has schema " + std::to_string(schema) + "; this library reads up to " + std::to_string(SCHEMA_VERSION),
                 "update codi-export");
        Manifest manifest;
        for (const Json& item : list(json, "graphs")) manifest.graphs.push_back(graph(item));
        for (const Json& item : list(json, "files")) manifest.files.push_back(entry(item));
        return manifest;
    } catch (const Json::exception& error) {
        fail(CODI_BAD_BUNDLE, name + " is not a manifest: " + error.what(), REBUILD);
    } catch (const std::invalid_argument& error) {
        fail(CODI_BAD_BUNDLE, name + " is not a manifest: " + error.what(), REBUILD);
    }
}

Engine parse_engine(std::string_view bytes, const std::string& name) {
    try {
        const Json json = Json::parse(bytes);
        Engine engine{text(json, "graph"), text(json, "backend"), text(json, "version"), text(json, "golden"), text(json, "path"), text(json, "sha256"),
                      static_cast<int>(whole(json, "sm", 0, 9999)), static_cast<uint64_t>(whole(json, "bytes", 0, INT64_MAX)), {}};
        for (const auto& [path, hash] : json.at("sources").items()) engine.sources[path] = hash.get<std::string>();
        return engine;
    } catch (const Json::exception& error) {
        fail(CODI_BAD_BUNDLE, name + " does not describe an engine: " + error.what(), "delete it and finalize");
    } catch (const std::invalid_argument& error) {
        fail(CODI_BAD_BUNDLE, name + " does not describe an engine: " + error.what(), "delete it and finalize");
    }
}

std::map<std::string, StoredTensor> parse_header(std::string_view text, uint64_t data_bytes) {
    try {
        std::map<std::string, StoredTensor> tensors;
        const auto json = nlohmann::json::parse(text);
        if (!json.is_object()) damaged("its header is not an object");
        for (const auto& [name, entry] : json.items())
            if (name != "__metadata__") tensors.emplace(name, stored(name, entry, data_bytes));
        return tensors;
    } catch (const nlohmann::json::exception& error) {
        damaged(error.what());
    }
}

std::string describe(const Graph& graph, const codi_options& options, const std::string& runtime) {
    const nlohmann::ordered_json json = {{"graph", graph.name},
                                         {"task", graph.task},
                                         {"steps", graph.steps},
                                         {"precision", graph.precision},
                                         {"scale", graph.scale},
                                         {"inputs", to_json(graph.inputs)},
                                         {"outputs", to_json(graph.outputs)},
                                         {"backend", options.backend},
                                         {"provider", options.provider},
                                         {"runtime", runtime},
                                         {"check", options.check == CODI_CHECK_HASH ? "hash" : "size"},
                                         {"version", codi_version()}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace codi::detail
