// ONNX Runtime, found and loaded at run time: whichever build the machine has, also the one inside its Python package.
#include <dlfcn.h>

#include <algorithm>
#include <mutex>
#include <optional>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "backend.h"
#include "failure.h"

namespace codi::detail {
namespace fs = std::filesystem;
namespace {

constexpr int OLDEST_API = 18;
const char* const HINT = "set CODI_ONNXRUNTIME to libonnxruntime.so, or to the folder `capi` of the Python package onnxruntime";

// The library that `place`, a file or a folder, holds; empty if none.
fs::path library_in(const fs::path& place) {
    std::error_code ignored;
    if (!fs::is_directory(place, ignored)) return fs::exists(place, ignored) ? place : fs::path();
    std::vector<fs::path> found;
    for (const auto& file : fs::directory_iterator(place, ignored))
        if (file.path().filename().string().rfind("libonnxruntime.so", 0) == 0) found.push_back(file.path());
    std::sort(found.begin(), found.end());
    return found.empty() ? fs::path() : found.back();
}

fs::path own_folder() {
    Dl_info info;
    return dladdr(reinterpret_cast<void*>(&open_onnxruntime), &info) && info.dli_fname ? fs::path(info.dli_fname).parent_path() : fs::path();
}

// Never inside the bundle: that is data, and data from elsewhere must not bring code.
std::vector<fs::path> candidates(const char* option) {
    if (option) return {option};
    if (const char* variable = std::getenv("CODI_ONNXRUNTIME"); variable && *variable) return {variable};
    return {own_folder(), "libonnxruntime.so.1", "libonnxruntime.so"};
}

void* open_library(const char* option, std::string& name) {
    std::string tried;
    for (const fs::path& place : candidates(option)) {
        const bool by_name = !place.has_parent_path() && !fs::exists(place);
        const fs::path file = by_name ? place : library_in(place);
        // It stays for good: its threads may outlive every session.
        void* handle = file.empty() ? nullptr : dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        const char* reason = file.empty() ? "no libonnxruntime.so" : handle ? "" : dlerror();
        tried += (tried.empty() ? "" : ", ") + place.string() + " (" + (reason ? reason : "?") + ")";
        if (handle) return name = file.string(), handle;
    }
    fail(CODI_MISSING_LIBRARY, "no ONNX Runtime: tried " + tried, HINT);
}

// The library is one for the whole process, as its environment is.
struct Library {
    std::string name, version;
    std::optional<Ort::Env> env;  // its destructor calls the library, so there is none before that is loaded

    explicit Library(const char* option) {
        using Base = const OrtApiBase*();
        void* handle = open_library(option, name);
        auto* base = reinterpret_cast<Base*>(dlsym(handle, "OrtGetApiBase"));
        if (!base) fail(CODI_MISSING_LIBRARY, name + " is not ONNX Runtime", HINT);
        const OrtApi* api = nullptr;
        for (int number = ORT_API_VERSION; !api && number >= OLDEST_API; --number) api = base()->GetApi(static_cast<uint32_t>(number));
        version = base()->GetVersionString();
        if (!api) fail(CODI_MISSING_LIBRARY, name + " is version " + version, "ONNX Runtime 1.18 is the oldest that works");
        Ort::InitApi(api);
        env.emplace(ORT_LOGGING_LEVEL_ERROR, "codi");
    }
};

Library& library(const char* option) {
    static std::mutex mutex;
    static Library* loaded = nullptr;  // never deleted: sessions may end after static objects do
    const std::lock_guard<std::mutex> lock(mutex);
    if (!loaded) loaded = new Library(option);
    if (option && !fs::equivalent(library_in(option).empty() ? fs::path(option) : library_in(option), loaded->name))
        fail(CODI_BAD_ARGUMENT, "this process runs " + loaded->name + " already", "one ONNX Runtime a process: leave out library");
    return *loaded;
}

void require_provider(const std::string& provider) {
    const std::vector<std::pair<std::string, std::string>> names = {
        {"cpu", "CPUExecutionProvider"}, {"cuda", "CUDAExecutionProvider"}, {"tensorrt", "TensorrtExecutionProvider"}};
    const std::vector<std::string> available = Ort::GetAvailableProviders();
    std::string here;
    bool known = false, found = false;
    for (const auto& [name, full] : names) {
        const bool present = std::count(available.begin(), available.end(), full) > 0;
        if (present) here += (here.empty() ? "" : ", ") + name;
        known = known || name == provider, found = found || (name == provider && present);
    }
    if (!known) fail(CODI_UNKNOWN_NAME, "unknown provider '" + provider + "'; available: " + here);
    if (!found) fail(CODI_BACKEND, "this ONNX Runtime has no " + provider + " provider; available: " + here, "the package onnxruntime-gpu has the GPU providers");
}

void add_cuda(Ort::SessionOptions& session, const codi_options& options) {
    const OrtApi& api = Ort::GetApi();
    OrtCUDAProviderOptionsV2* cuda = nullptr;
    Ort::ThrowOnError(api.CreateCUDAProviderOptions(&cuda));
    const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)> owner(cuda, api.ReleaseCUDAProviderOptions);
    std::vector<const char*> keys = {"device_id"}, values;
    const std::string device = std::to_string(options.device), limit = std::to_string(options.max_memory);
    values.push_back(device.c_str());
    if (options.max_memory) keys.push_back("gpu_mem_limit"), values.push_back(limit.c_str());
    Ort::ThrowOnError(api.UpdateCUDAProviderOptions(cuda, keys.data(), values.data(), keys.size()));
    if (options.stream) Ort::ThrowOnError(api.UpdateCUDAProviderOptionsWithValue(cuda, "user_compute_stream", options.stream));
    session.AppendExecutionProvider_CUDA_V2(*cuda);
}

void add_tensorrt(Ort::SessionOptions& session, const codi_options& options) {
    OrtTensorRTProviderOptions tensorrt{};
    tensorrt.device_id = options.device;
    tensorrt.has_user_compute_stream = options.stream != nullptr;
    tensorrt.user_compute_stream = options.stream;
    session.AppendExecutionProvider_TensorRT(tensorrt);
}

ONNXTensorElementDataType element_type(const TensorSpec& spec) {
    return spec.dtype == "uint8" ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

// A tensor over memory that somebody else owns; made anew only when that memory is another.
struct Slot {
    const TensorSpec* spec;
    Ort::Value value{nullptr};
    void* data = nullptr;
    codi_memory memory = CODI_HOST;

    void point(void* to, codi_memory kind, const Ort::MemoryInfo& info) {
        if (to == data && kind == memory) return;
        value = Ort::Value::CreateTensor(info, to, spec->bytes(), spec->shape.data(), spec->shape.size(), element_type(*spec));
        data = to, memory = kind;
    }
};

class OrtCall final : public Call {
  public:
    OrtCall(Ort::Session& session, const Graph& graph, bool on_gpu, int device, bool queued)
        : session_(session), host_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)), device_(nullptr), on_gpu_(on_gpu), queued_(queued) {
        if (on_gpu) device_ = Ort::MemoryInfo("Cuda", OrtDeviceAllocator, device, OrtMemTypeDefault);
        for (const TensorSpec& spec : graph.inputs) slots_.push_back({&spec}), names_.push_back(spec.name.c_str());
        output_.spec = &graph.outputs[0];
        raw_.resize(slots_.size());
    }

    void run(const std::vector<void*>& inputs, void* output, codi_memory memory) override {
        const bool device = on_gpu_ && memory == CODI_DEVICE;
        const Ort::MemoryInfo& info = device ? device_ : host_;
        for (size_t i = 0; i < slots_.size(); ++i) slots_[i].point(inputs[i], memory, info), raw_[i] = slots_[i].value;
        output_.point(output, memory, info);
        // With tensors of the device on the caller's stream, waiting is the caller's.
        if (queued_) options_.AddConfigEntry("disable_synchronize_execution_providers", device ? "1" : "0");
        const char* name = output_.spec->name.c_str();
        OrtValue* result = output_.value;
        if (OrtStatus* status = Ort::GetApi().Run(session_, options_, names_.data(), raw_.data(), raw_.size(), &name, 1, &result)) {
            const std::string reason = Ort::Status(status).GetErrorMessage();
            fail(CODI_BACKEND, "ONNX Runtime cannot run the graph: " + reason);
        }
    }

    void cancel() override { options_.SetTerminate(); }
    void renew() override { options_.UnsetTerminate(); }

  private:
    Ort::Session& session_;
    Ort::MemoryInfo host_, device_;
    const bool on_gpu_, queued_;
    Ort::RunOptions options_;
    std::vector<Slot> slots_;
    Slot output_{};
    std::vector<const char*> names_;
    std::vector<const OrtValue*> raw_;
};

class OrtRunner final : public Runner {
  public:
    OrtRunner(const fs::path& bundle, const Graph& graph, const codi_options& options)
        : library_(library(options.library)), graph_(graph), provider_(options.provider ? options.provider : "cpu"), device_(options.device), queued_(options.stream) {
        require_provider(provider_);
        if (provider_ == "cpu" && options.stream) fail(CODI_BAD_ARGUMENT, "the cpu provider has no streams", "leave out stream");
        Ort::SessionOptions session;
        session.SetLogSeverityLevel(ORT_LOGGING_LEVEL_ERROR);
        if (options.threads > 0) session.SetIntraOpNumThreads(options.threads);
        if (provider_ == "cuda") add_cuda(session, options);
        if (provider_ == "tensorrt") add_tensorrt(session, options);
        session_ = Ort::Session(*library_.env, (bundle / graph.path).c_str(), session);
    }

    std::unique_ptr<Call> prepare() override { return std::make_unique<OrtCall>(session_, graph_, provider_ != "cpu", device_, queued_); }
    std::string runtime() const override { return "onnxruntime " + library_.version + " (" + library_.name + ")"; }

  private:
    Library& library_;
    const Graph& graph_;
    const std::string provider_;
    const int device_;
    const bool queued_;
    Ort::Session session_{nullptr};
};

}  // namespace

std::unique_ptr<Runner> open_onnxruntime(const fs::path& bundle, const Graph& graph, const codi_options& options) {
    try {
        return std::make_unique<OrtRunner>(bundle, graph, options);
    } catch (const Ort::Exception& error) {
        fail(CODI_BACKEND, "ONNX Runtime cannot open " + (bundle / graph.path).string() + ": " + error.what());
    }
}

}  // namespace codi::detail
