// Any bytes are a file with tensors inside it, or are refused with a Failure.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "failure.h"
#include "safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace codi::detail;
    static const int file = memfd_create("fuzz", 0);
    static const std::string path = "/proc/self/fd/" + std::to_string(file);
    if (ftruncate(file, 0) || pwrite(file, data, size, 0) != ssize_t(size)) std::abort();
    try {
        const std::string header = read_header(path);
        const uint64_t left = size - 8 - header.size();
        for (const auto& [name, tensor] : parse_header(header, left)) {
            if (tensor.begin > tensor.end || tensor.end > left) std::abort();
            if (read_tensor(path, name, tensor.dtype, tensor.shape).size() != tensor.end - tensor.begin) std::abort();
        }
    } catch (const Failure&) {
    }
    return 0;
}
