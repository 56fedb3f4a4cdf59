#include "safetensors.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "failure.h"

namespace codi::detail {
namespace {

constexpr uint64_t MOST = 100'000'000;  // bytes of a header, as the format's own reader has it

const std::map<std::string, uint64_t> BITS = {{"BOOL", 8},    {"U8", 8},   {"I8", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"U16", 16},
                                              {"I16", 16},   {"F16", 16}, {"BF16", 16}, {"U32", 32},    {"I32", 32},    {"F32", 32},
                                              {"U64", 64},   {"I64", 64}, {"F64", 64}};

[[noreturn]] void damaged(const std::string& what) { fail(CODI_BAD_BUNDLE, "damaged safetensors file: " + what); }

uint64_t header_length(std::istream& file, uint64_t file_bytes, const std::filesystem::path& path) {
    unsigned char bytes[8] = {};
    if (file_bytes < 8 || !file.read(reinterpret_cast<char*>(bytes), 8)) damaged(path.string() + " has no header");
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
    if (length > MOST || length > file_bytes - 8) damaged(path.string() + " claims a header of " + std::to_string(length) + " bytes");
    return length;
}

StoredTensor tensor(const std::string& name, const nlohmann::json& entry, uint64_t data_bytes) {
    StoredTensor t;
    t.dtype = entry.at("dtype").get<std::string>();
    const auto bits = BITS.find(t.dtype);
    if (bits == BITS.end()) damaged(name + " has the type " + t.dtype);
    uint64_t expected = bits->second / 8;
    for (const auto& size : entry.at("shape")) {
        if (!size.is_number_unsigned()) damaged(name + ": a size is not a whole number");
        const auto n = size.get<uint64_t>();
        if (n > MOST || (n && expected > UINT64_MAX / n / 2)) damaged(name + " is too large");
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

}  // namespace

std::string read_header(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::error_code gone;
    const uint64_t bytes = std::filesystem::file_size(path, gone);
    if (!file || gone) fail(CODI_BAD_BUNDLE, "cannot read " + path.string());
    std::string text(header_length(file, bytes, path), '\0');
    if (!file.read(text.data(), static_cast<std::streamsize>(text.size()))) damaged(path.string() + " ends in its header");
    return text;
}

std::map<std::string, StoredTensor> parse_header(std::string_view text, uint64_t data_bytes) {
    try {
        std::map<std::string, StoredTensor> tensors;
        const auto json = nlohmann::json::parse(text);
        if (!json.is_object()) damaged("its header is not an object");
        for (const auto& [name, entry] : json.items())
            if (name != "__metadata__") tensors.emplace(name, tensor(name, entry, data_bytes));
        return tensors;
    } catch (const nlohmann::json::exception& error) {
        damaged(error.what());
    }
}

std::vector<uint8_t> read_tensor(const std::filesystem::path& path, const std::string& name, const std::string& dtype,
                                 const std::vector<int64_t>& shape) {
    const std::string header = read_header(path);
    const uint64_t start = 8 + header.size();
    const auto tensors = parse_header(header, std::filesystem::file_size(path) - start);
    const auto found = tensors.find(name);
    if (found == tensors.end()) damaged(path.string() + " has no tensor '" + name + "'");
    const StoredTensor& t = found->second;
    if (t.dtype != dtype || t.shape != shape) damaged(path.string() + ": '" + name + "' is not of the type and shape that its graph takes");
    std::vector<uint8_t> data(t.end - t.begin);
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(start + t.begin));
    if (!file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(data.size())))
        damaged(path.string() + " ends in '" + name + "'");
    return data;
}

}  // namespace codi::detail
