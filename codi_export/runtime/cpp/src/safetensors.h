// The header of a safetensors file: eight bytes of length, JSON, then data.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "failure.h"

namespace codi::detail {

constexpr uint64_t MOST_HEADER = 100'000'000;  // bytes of a header, as the format's own reader has it

struct StoredTensor {
    std::string dtype;  // U8, F32, I64, ...
    std::vector<int64_t> shape;
    uint64_t begin, end;  // bytes, from the end of the header
};

[[noreturn]] inline void damaged(const std::string& what) { fail(CODI_BAD_BUNDLE, "damaged safetensors file: " + what); }

// The JSON between the length and the data, as it stands. Throws Failure (bad-bundle) if the file cannot hold it.
std::string read_header(const std::filesystem::path& file);

// By name. Each tensor lies inside `data_bytes`, and its shape and type agree with its bytes. Throws Failure (bad-bundle).
std::map<std::string, StoredTensor> parse_header(std::string_view json, uint64_t data_bytes);

// One tensor's bytes, which must be `dtype` of `shape`. Throws Failure (bad-bundle).
std::vector<uint8_t> read_tensor(const std::filesystem::path& file, const std::string& name, const std::string& dtype,
                                 const std::vector<int64_t>& shape);

}  // namespace codi::detail
