// What a backend offers: a graph that is open, and calls of it. Each thread that runs has a Call of its own.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bundle.h"
#include "codi.h"

namespace codi::detail {

class Call {
  public:
    virtual ~Call() = default;
    // Pointers in the order of the graph's inputs and of its first output, packed. Throws Failure (backend).
    virtual void run(const std::vector<void*>& inputs, void* output, codi_memory memory) = 0;
    virtual void cancel() {}  // from another thread: make `run` fail soon
    virtual void renew() {}   // forget a cancel
};

class Runner {
  public:
    virtual ~Runner() = default;
    virtual std::unique_ptr<Call> prepare() = 0;
    virtual std::string runtime() const = 0;  // name, version and file, for codi_inspect
};

// Each throws Failure: missing-library, unknown-name, backend.
std::unique_ptr<Runner> open_onnxruntime(const std::filesystem::path& bundle, const Graph& graph, const codi_options& options);
std::unique_ptr<Runner> open_tensorrt(const std::filesystem::path& bundle, const Graph& graph, const codi_options& options);

}  // namespace codi::detail
