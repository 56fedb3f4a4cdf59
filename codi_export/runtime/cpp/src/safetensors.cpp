#include "safetensors.h"

#include <fstream>

#include "failure.h"

namespace codi::detail {
namespace {

uint64_t header_length(std::istream& file, uint64_t file_bytes, const std::filesystem::path& path) {
    unsigned char bytes[8] = {};
    if (file_bytes < 8 || !file.read(reinterpret_cast<char*>(bytes), 8)) damaged(path.string() + " has no header");
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
    if (length > MOST_HEADER || length > file_bytes - 8) damaged(path.string() + " claims a header of " + std::to_string(length) + " bytes");
    return length;
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
