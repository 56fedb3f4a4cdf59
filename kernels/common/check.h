// Arguments are checked here, before anything is launched; the first fault wins.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <initializer_list>

#include "../codi_kernels.h"

namespace codi {

inline thread_local char message[256] = "";

// Keeps a message for codi_kernels_message() and answers `status`.
__attribute__((format(printf, 2, 3))) inline int fail(int status, const char* format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    return status;
}

inline int64_t bytes_of(int32_t type) { return type == CODI_FLOAT16 ? 2 : 4; }

// A tensor as a caller gave it: for messages, and to see whether two of them overlap.
struct Tensor {
    const char* name;
    const void* data;
    int64_t elements, element_bytes;

    int64_t bytes() const { return elements * element_bytes; }
    bool overlaps(const Tensor& other) const {
        const uintptr_t a = uintptr_t(data), b = uintptr_t(other.data);
        return data && other.data && a < b + uintptr_t(other.bytes()) && b < a + uintptr_t(bytes());
    }
    bool is(const Tensor& other) const { return data == other.data && bytes() == other.bytes(); }
};

struct Check {
    const char* op;
    int status = CODI_KERNELS_OK;

    // Counts as passed unless an earlier one failed.
    template <class... Values>
    void require(bool holds, int code, const char* format, Values... values) {
        if (status || holds) return;
        const int length = snprintf(message, sizeof message, "%s: ", op);
        snprintf(message + length, sizeof message - length, format, values...);
        status = code;
    }

    // Whether there is a record of this version to read.
    template <class Record>
    bool record(const Record* a) {
        require(a, CODI_KERNELS_NULL, "the record is null");
        if (a) {
            require(a->bytes == int64_t(sizeof *a), CODI_KERNELS_VERSION,
                    "the record has %lld bytes, this version's has %lld", (long long)a->bytes, (long long)sizeof *a);
        }
        return !status;
    }

    void type(int32_t type) {
        require(type == CODI_FLOAT32 || type == CODI_FLOAT16, CODI_KERNELS_TYPE,
                "type %d: expected 0 (float32) or 1 (float16)", type);
    }

    // The number of elements, each size at least 0. It is compared before it is multiplied, so nothing overflows.
    int64_t elements(const char* name, std::initializer_list<int64_t> sizes) {
        const int64_t most = INT32_MAX;
        int64_t product = 1;
        bool empty = false;
        for (int64_t size : sizes) empty = empty || size == 0;
        for (int64_t size : sizes) {
            require(size >= 0, CODI_KERNELS_SIZE, "a size of %s is %lld: expected at least 0", name, (long long)size);
            if (status || empty) continue;
            require(size <= most / product, CODI_KERNELS_SIZE, "%s has more than 2^31 - 1 elements", name);
            if (!status) product *= size;
        }
        return status || empty ? 0 : product;
    }

    // A tensor that must be there, unless it is empty or `optional`.
    void tensor(const Tensor& t, bool optional = false) {
        require(t.data || optional || t.elements == 0, CODI_KERNELS_NULL, "%s is null", t.name);
        require(uintptr_t(t.data) % uintptr_t(t.element_bytes) == 0, CODI_KERNELS_ALIGNMENT,
                "%s is at %p: expected a multiple of %lld", t.name, t.data, (long long)t.element_bytes);
    }

    // `out` may be `other` itself if `in_place`; any other overlap is refused.
    void apart(const Tensor& out, const Tensor& other, bool in_place = false) {
        require(!out.overlaps(other) || (in_place && out.is(other)), CODI_KERNELS_OVERLAP, "%s overlaps %s%s", out.name,
                other.name, in_place ? " without being it" : "");
    }
};

}  // namespace codi
