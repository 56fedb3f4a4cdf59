// The C API: nothing but translation. No exception leaves it.
#include "codi.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>

#include "failure.h"
#include "session.h"

struct codi_session {
    codi::detail::Session session;
};

namespace {

using codi::detail::fail;
using codi::detail::Failure;

thread_local std::string last_error;

const char* name(codi_status status) {
    static const char* const names[] = {"ok",         "bad-argument",  "unknown-name", "missing-file", "missing-library", "bad-bundle",
                                        "hash-mismatch", "newer-schema", "no-engine", "backend",      "out-of-memory", "cancelled",       "bug"};
    return names[status];
}

codi_status failed(codi_status status, const char* text) noexcept {
    try {
        last_error = std::string(name(status)) + ": " + text;
    } catch (...) {
        last_error.clear();
    }
    return status;
}

// Runs `work`; whatever it throws becomes a status and this thread's last error.
template <class Work>
codi_status guarded(Work work) noexcept {
    try {
        work();
        return CODI_OK;
    } catch (const Failure& failure) {
        return failed(failure.code, failure.text.c_str());
    } catch (const std::bad_alloc&) {
        return failed(CODI_OUT_OF_MEMORY, "not enough memory");
    } catch (const std::filesystem::filesystem_error& error) {
        return failed(CODI_BAD_BUNDLE, error.what());
    } catch (const std::exception& error) {
        return failed(CODI_BUG, error.what());
    }
}

template <class T>
T& required(T* pointer, const char* what) {
    if (!pointer) fail(CODI_BAD_ARGUMENT, std::string(what) + " is NULL");
    return *pointer;
}

void init(codi_options& options) {
    options = {};
    options.struct_size = sizeof options;
    options.backend = "onnxruntime";
    options.provider = "cpu";
}

void init(codi_run_options& options) {
    options = {};
    options.struct_size = sizeof options;
    options.adapter_scale = 1.0f;
}

void init(codi_info& info) {
    info = {};
    info.struct_size = sizeof info;
}

// Defaults into what the caller's header knows of a struct; what only it knows is zero.
template <class Struct>
void init(Struct* given, size_t size) {
    if (!given || size < sizeof(size_t)) return;
    Struct full;
    init(full);
    std::memset(static_cast<void*>(given), 0, size);
    std::memcpy(given, &full, std::min(size, sizeof full));
    given->struct_size = size;
}

// The fields that both the caller's header and this library know; the others keep their defaults.
template <class Struct>
Struct settled(const Struct* given) {
    Struct full;
    init(full);
    if (!given) return full;
    if (given->struct_size < sizeof(size_t)) fail(CODI_BAD_ARGUMENT, "options without their size", "call their init function first");
    std::memcpy(&full, given, std::min(given->struct_size, sizeof full));
    full.struct_size = sizeof full;
    return full;
}

}  // namespace

extern "C" {

int32_t codi_abi_version(void) { return CODI_ABI_VERSION; }
const char* codi_version(void) { return CODI_VERSION; }
const char* codi_last_error(void) { return last_error.c_str(); }

void codi_options_init(codi_options* options, size_t struct_size) { init(options, struct_size); }
void codi_run_options_init(codi_run_options* options, size_t struct_size) { init(options, struct_size); }
void codi_info_init(codi_info* info, size_t struct_size) { init(info, struct_size); }

codi_status codi_load(const char* bundle, const codi_options* options, codi_session** session) {
    return guarded([&] {
        required(session, "session") = nullptr;
        codi_options full = settled(options);
        if (!full.backend) full.backend = "onnxruntime";
        if (!full.provider) full.provider = "cpu";
        *session = new codi_session{codi::detail::Session(&required(bundle, "bundle"), full)};
    });
}

codi_status codi_run(codi_session* session, const codi_image* input, const codi_image* output, const codi_run_options* options) {
    return guarded([&] { required(session, "session").session.run(input, output, settled(options)); });
}

codi_status codi_run_tensors(codi_session* session, const codi_tensor* tensors, size_t count, int32_t memory) {
    return guarded([&] { required(session, "session").session.run_tensors(tensors, count, memory); });
}

codi_status codi_make_noise(const codi_session* session, uint64_t seed, float* noise, size_t count) {
    return guarded([&] { required(session, "session").session.make_noise(seed, noise, count); });
}

codi_status codi_get_info(const codi_session* session, codi_info* info) {
    return guarded([&] {
        codi_info full = settled(&required(info, "info"));
        required(session, "session").session.info(full);
        const size_t size = info->struct_size;
        std::memcpy(info, &full, std::min(size, sizeof full));
        info->struct_size = size;
    });
}

const char* codi_inspect(const codi_session* session) { return session ? session->session.description().c_str() : "{}"; }

void codi_cancel(codi_session* session) {
    if (session) session->session.cancel();
}

void codi_free(codi_session* session) { delete session; }
}
