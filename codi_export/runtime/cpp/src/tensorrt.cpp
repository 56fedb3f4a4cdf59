// Engines of TensorRT 10 or newer, built for this device by `codi-export finalize`.
#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <fstream>
#include <iterator>

#include "backend.h"
#include "engines.h"
#include "failure.h"

namespace codi::detail {
namespace fs = std::filesystem;
namespace {

void check(cudaError_t error, const char* what) {
    if (error != cudaSuccess) fail(CODI_BACKEND, std::string(what) + ": " + cudaGetErrorString(error));
}

// Keeps the last thing that went wrong, for the error that follows it.
class Log final : public nvinfer1::ILogger {
  public:
    void log(Severity severity, const char* text) noexcept override {
        if (severity <= Severity::kERROR) std::snprintf(last_, sizeof last_, "%s", text);
    }
    const char* last() const { return last_; }

  private:
    char last_[512] = "";
};

struct Device {
    int sm;

    explicit Device(int number) {
        check(cudaSetDevice(number), "cannot use this GPU");
        int major = 0, minor = 0;
        check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, number), "cannot ask the GPU");
        check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, number), "cannot ask the GPU");
        sm = major * 10 + minor;
    }
};

std::string version() {
    const int number = getInferLibVersion();  // 10.3.0 is 100300
    return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

// Device memory for one tensor.
class Buffer {
  public:
    explicit Buffer(size_t bytes) { check(cudaMalloc(&data_, bytes), "not enough device memory"); }
    ~Buffer() { cudaFree(data_); }
    Buffer(Buffer&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
    Buffer(const Buffer&) = delete;
    void* data() const { return data_; }

  private:
    void* data_ = nullptr;
};

class TensorRtCall final : public Call {
  public:
    TensorRtCall(nvinfer1::ICudaEngine& engine, const Graph& graph, int device, void* stream, const Log& log)
        : graph_(graph), log_(log), device_(device), context_(engine.createExecutionContext()), stream_(static_cast<cudaStream_t>(stream)) {
        if (!context_) fail(CODI_BACKEND, std::string("TensorRT has no memory for a context: ") + log.last());
        for (const TensorSpec& spec : graph.inputs) buffers_.emplace_back(spec.bytes());
        buffers_.emplace_back(graph.outputs[0].bytes());
        if (!stream) check(cudaStreamCreateWithFlags(&own_, cudaStreamNonBlocking), "cannot make a stream"), stream_ = own_;
    }
    ~TensorRtCall() override {
        if (own_) cudaStreamDestroy(own_);
    }

    void run(const std::vector<void*>& inputs, void* output, codi_memory memory) override {
        check(cudaSetDevice(device_), "cannot use this GPU");  // the thread may be another than the one that loaded
        const bool host = memory == CODI_HOST;
        for (size_t i = 0; i < inputs.size(); ++i) {
            const TensorSpec& spec = graph_.inputs[i];
            if (host) check(cudaMemcpyAsync(buffers_[i].data(), inputs[i], spec.bytes(), cudaMemcpyHostToDevice, stream_), "cannot copy to the device");
            bind(spec, host ? buffers_[i].data() : inputs[i]);
        }
        const TensorSpec& result = graph_.outputs[0];
        bind(result, host ? buffers_.back().data() : output);
        if (!context_->enqueueV3(stream_)) fail(CODI_BACKEND, std::string("TensorRT cannot run the engine: ") + log_.last());
        if (!host) return;  // queued; waiting is the caller's
        check(cudaMemcpyAsync(output, buffers_.back().data(), result.bytes(), cudaMemcpyDeviceToHost, stream_), "cannot copy from the device");
        check(cudaStreamSynchronize(stream_), "the engine failed");
    }

  private:
    void bind(const TensorSpec& spec, void* data) {
        if (!context_->setTensorAddress(spec.name.c_str(), data)) fail(CODI_BACKEND, "the engine has no tensor '" + spec.name + "': " + log_.last());
    }

    const Graph& graph_;
    const Log& log_;
    const int device_;
    const std::unique_ptr<nvinfer1::IExecutionContext> context_;
    std::vector<Buffer> buffers_;
    cudaStream_t stream_, own_ = nullptr;
};

class TensorRtRunner final : public Runner {
  public:
    TensorRtRunner(const fs::path& bundle, const Graph& graph, const codi_options& options)
        : graph_(graph), number_(options.device), stream_(options.stream), path_(find_engine(bundle, graph, version(), Device(options.device).sm)) {
        std::ifstream file(path_, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        runtime_.reset(nvinfer1::createInferRuntime(log_));
        if (runtime_) engine_.reset(runtime_->deserializeCudaEngine(bytes.data(), bytes.size()));
        if (!engine_) fail(CODI_BACKEND, "TensorRT cannot read " + path_.string() + ": " + log_.last(), "on this device: codi-export finalize");
        for (const TensorSpec& spec : graph.inputs) require_same(spec);
        require_same(graph.outputs[0]);
    }

    std::unique_ptr<Call> prepare() override { return std::make_unique<TensorRtCall>(*engine_, graph_, number_, stream_, log_); }
    std::string runtime() const override { return "tensorrt " + version() + " (" + path_.filename().string() + ")"; }

  private:
    void require_same(const TensorSpec& spec) const {
        const nvinfer1::Dims shape = engine_->getTensorShape(spec.name.c_str());
        bool same = shape.nbDims == static_cast<int32_t>(spec.shape.size());
        for (int32_t i = 0; same && i < shape.nbDims; ++i) same = shape.d[i] == spec.shape[static_cast<size_t>(i)];
        if (!same) fail(CODI_BAD_BUNDLE, path_.string() + " has another '" + spec.name + "' than its graph", "on this device: codi-export finalize");
    }

    const Graph& graph_;
    const int number_;
    void* const stream_;
    const fs::path path_;
    Log log_;
    std::unique_ptr<nvinfer1::IRuntime> runtime_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
};

}  // namespace

std::unique_ptr<Runner> open_tensorrt(const fs::path& bundle, const Graph& graph, const codi_options& options) {
    return std::make_unique<TensorRtRunner>(bundle, graph, options);
}

}  // namespace codi::detail
