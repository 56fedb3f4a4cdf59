// Stands in for tensorrt.cpp where NvInfer.h was not found.
#include "backend.h"
#include "failure.h"

namespace codi::detail {

std::unique_ptr<Runner> open_tensorrt(const std::filesystem::path&, const Graph&, const codi_options&) {
    fail(CODI_MISSING_LIBRARY, "this libcodi was built without TensorRT", "build it on the device, where NvInfer.h is; or use the backend onnxruntime");
}

}  // namespace codi::detail
