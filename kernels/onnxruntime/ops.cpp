// The ops of the domain `codi` for ONNX Runtime, on the CPU and, where CUDA kernels are built, on CUDA. A graph carries
// a function of standard operators for each of them (codi_export/ops); a session that has registered this library takes
// these kernels instead:
//
//     options.register_custom_ops_library("libcodi_onnxruntime.so")
//
// An absent input is a single 0, as the functions have it.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../codi_kernels.h"

namespace {

// ---- tensors

template <class T>
constexpr ONNXTensorElementDataType kElement = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
template <>
constexpr ONNXTensorElementDataType kElement<Ort::Float16_t> = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
constexpr ONNXTensorElementDataType kBytes = ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;

template <class T>
constexpr int32_t kType = std::is_same_v<T, float> ? CODI_FLOAT32 : CODI_FLOAT16;

std::string shown(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    return text + "]";
}

struct Input {
    Ort::ConstValue value;
    std::vector<int64_t> shape;
    int64_t elements = 1;

    Input(Ort::KernelContext& context, size_t index)
        : value(context.GetInput(index)), shape(value.GetTensorTypeAndShapeInfo().GetShape()) {
        for (int64_t size : shape) elements *= size;
    }
    const void* data() const { return value.GetTensorRawData(); }
    std::string text() const { return shown(shape); }
};

[[noreturn]] void refuse(const std::string& message) {
    throw Ort::Exception(std::string(message), ORT_INVALID_ARGUMENT);
}

enum class Side { cpu, cuda };

// The input's data if it has this shape, null if it is the single 0 of an absent one (which is read on the CPU only).
template <Side side>
const void* optional(const char* op, const char* name, const Input& input, const std::vector<int64_t>& shape,
                     size_t element_bytes) {
    if (input.shape == shape) return input.data();
    static const char zero[4] = {};
    const bool single = input.elements == 1;
    if (single && (side == Side::cuda || memcmp(input.data(), zero, element_bytes) == 0)) return nullptr;
    refuse(std::string(op) + ": " + name + " is " + input.text() + ": expected " + shown(shape) + ", or a single 0");
}

void* output(Ort::KernelContext& context, size_t index, const std::vector<int64_t>& shape) {
    return context.GetOutput(index, shape.data(), shape.size()).GetTensorMutableRawData();
}

// ---- calling a kernel

#ifdef CODI_CUDA
#define CODI_CALL(op, side, record, stream) (side == Side::cpu ? op##_host(&record) : op##_cuda(&record, stream))
#else
#define CODI_CALL(op, side, record, stream) op##_host(&record)
#endif

void check(int status) {
    if (status) refuse(codi_kernels_message());
}

template <Side side>
void* stream_of(Ort::KernelContext& context) {
    return side == Side::cuda ? context.GetGPUComputeStream() : nullptr;
}

// ---- what ONNX Runtime asks of an op

// `Op` has kName, kInputs, kOutputs and compute(context); its constructor reads the attributes.
template <class Op, Side side>
struct Registered : Ort::CustomOpBase<Registered<Op, side>, Op, true> {
    const char* GetName() const { return Op::kName; }
    const char* GetExecutionProviderType() const {
        return side == Side::cpu ? "CPUExecutionProvider" : "CUDAExecutionProvider";
    }
    size_t GetInputTypeCount() const { return Op::inputs().size(); }
    ONNXTensorElementDataType GetInputType(size_t index) const { return Op::inputs()[index]; }
    size_t GetOutputTypeCount() const { return Op::outputs().size(); }
    ONNXTensorElementDataType GetOutputType(size_t index) const { return Op::outputs()[index]; }
    OrtStatusPtr CreateKernelV2(const OrtApi&, const OrtKernelInfo* info, void** kernel) const {
        return guarded([&] { *kernel = new Op(Ort::ConstKernelInfo(info)); });
    }

    template <class Work>
    static OrtStatusPtr guarded(Work work) {
        try {
            work();
            return nullptr;
        } catch (const Ort::Exception& error) {
            return Ort::GetApi().CreateStatus(error.GetOrtErrorCode(), error.what());
        } catch (const std::exception& error) {
            return Ort::GetApi().CreateStatus(ORT_RUNTIME_EXCEPTION, error.what());
        }
    }
};

template <class Op>
struct Kernel {
    OrtStatusPtr ComputeV2(OrtKernelContext* raw) {
        return Registered<Op, Side::cpu>::guarded([&] {
            Ort::KernelContext context(raw);
            static_cast<Op*>(this)->compute(context);
        });
    }
};

using Types = std::vector<ONNXTensorElementDataType>;

// ---- the ops

// Inputs x [B, ..., C - C2], weight [C], bias [C], second [B, ..., C2], shift [B, C], residual [B, ..., C].
template <class T, bool silu, Side side>
struct GroupNorm : Kernel<GroupNorm<T, silu, side>> {
    static constexpr const char* kName = silu ? "GroupNormSilu" : "GroupNorm";
    static Types inputs() { return Types(6, kElement<T>); }
    static Types outputs() { return {kElement<T>}; }

    explicit GroupNorm(Ort::ConstKernelInfo info)
        : groups(info.GetAttribute<int64_t>("groups")), epsilon(info.GetAttribute<float>("epsilon")) {}

    void compute(Ort::KernelContext& context) {
        const Input x(context, 0), weight(context, 1), bias(context, 2), second(context, 3), shift(context, 4),
            residual(context, 5);
        if (x.shape.size() < 2) refuse(std::string(kName) + ": x is " + x.text() + ": expected [B, ..., C]");
        std::vector<int64_t> shape = x.shape, beside = x.shape;
        if (second.shape.size() == shape.size()) beside.back() = second.shape.back();
        if (second.shape != beside)
            refuse(std::string(kName) + ": second is " + second.text() + " beside x " + x.text() +
                   ": expected all but the last size alike");
        shape.back() += beside.back();
        const int64_t channels = shape.back(), pixels = channels ? (x.elements + second.elements) / channels : 0;
        for (const Input* each : {&weight, &bias})
            if (each->shape != std::vector<int64_t>{channels})
                refuse(std::string(kName) + ": weight is " + weight.text() + " and bias " + bias.text() +
                       ": expected [" + std::to_string(channels) + "]");

        codi_group_norm_silu a{};
        a.bytes = sizeof a;
        a.batch = shape[0], a.positions = shape[0] ? pixels / shape[0] : 0, a.channels = channels;
        a.groups = groups, a.second_channels = beside.back(), a.epsilon = epsilon, a.silu = silu, a.type = kType<T>;
        a.x = x.data(), a.weight = weight.data(), a.bias = bias.data();
        a.second = beside.back() ? second.data() : nullptr;
        a.shift = optional<side>(kName, "shift", shift, {shape[0], channels}, sizeof(T));
        a.residual = optional<side>(kName, "residual", residual, shape, sizeof(T));
        a.out = output(context, 0, shape);
        a.workspace_bytes = std::max<int64_t>(codi_group_norm_silu_workspace(&a), 0);
        const Ort::MemoryInfo place = side == Side::cpu
                                          ? Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)
                                          : Ort::MemoryInfo("Cuda", OrtArenaAllocator, 0, OrtMemTypeDefault);
        OrtAllocator* allocator = context.GetAllocator(*static_cast<const OrtMemoryInfo*>(place));
        const auto free = [allocator](void* memory) { allocator->Free(allocator, memory); };
        const std::unique_ptr<void, decltype(free)> workspace(
            allocator->Alloc(allocator, size_t(std::max<int64_t>(a.workspace_bytes, 8))), free);
        a.workspace = workspace.get();
        check(CODI_CALL(codi_group_norm_silu, side, a, stream_of<side>(context)));
    }

    int64_t groups;
    float epsilon;
};

// Inputs x [..., 2 D], bias [2 D].
template <class T, Side side>
struct Geglu : Kernel<Geglu<T, side>> {
    static constexpr const char* kName = "Geglu";
    static Types inputs() { return Types(2, kElement<T>); }
    static Types outputs() { return {kElement<T>}; }

    explicit Geglu(Ort::ConstKernelInfo) {}

    void compute(Ort::KernelContext& context) {
        const Input x(context, 0), bias(context, 1);
        if (x.shape.empty() || x.shape.back() % 2)
            refuse("Geglu: x is " + x.text() + ": expected an even last size, value and gate side by side");
        std::vector<int64_t> shape = x.shape;
        shape.back() /= 2;
        codi_geglu a{};
        a.bytes = sizeof a;
        a.columns = shape.back(), a.rows = a.columns ? x.elements / (2 * a.columns) : 0, a.type = kType<T>;
        a.x = x.data(), a.bias = optional<side>(kName, "bias", bias, {x.shape.back()}, sizeof(T)),
        a.out = output(context, 0, shape);
        check(CODI_CALL(codi_geglu, side, a, stream_of<side>(context)));
    }
};

// Inputs prediction, z, noise of one shape; outputs next, estimate.
template <class T, Side side>
struct SamplerStep : Kernel<SamplerStep<T, side>> {
    static constexpr const char* kName = "SamplerStep";
    static Types inputs() { return Types(3, kElement<T>); }
    static Types outputs() { return Types(2, kElement<T>); }

    explicit SamplerStep(Ort::ConstKernelInfo info) {
        // x = estimate_z z + estimate_prediction prediction: a v prediction has that form for any two numbers.
        a.bytes = sizeof a;
        a.prediction_type = CODI_V_PREDICTION, a.type = kType<T>;
        a.alpha = info.GetAttribute<float>("estimate_z"), a.sigma = -info.GetAttribute<float>("estimate_prediction");
        a.mix_x = info.GetAttribute<float>("mix_x"), a.mix_z = info.GetAttribute<float>("mix_z");
        a.mix_noise = info.GetAttribute<float>("mix_noise");
    }

    void compute(Ort::KernelContext& context) {
        const Input prediction(context, 0), z(context, 1), noise(context, 2);
        if (prediction.shape != z.shape)
            refuse("SamplerStep: prediction is " + prediction.text() + " and z " + z.text() + ": expected one shape");
        codi_sampler_step call = a;
        call.elements = z.elements, call.prediction = prediction.data(), call.z = z.data();
        call.noise = optional<side>(kName, "noise", noise, z.shape, sizeof(T));
        if (!call.noise) call.mix_noise = 0;
        call.next = output(context, 0, z.shape), call.estimate = output(context, 1, z.shape);
        check(CODI_CALL(codi_sampler_step, side, call, stream_of<side>(context)));
    }

    codi_sampler_step a{};
};

// uint8 image [B, H, W, C] -> float32 [B, C, height, width].
template <Side side>
struct ImageToTensor : Kernel<ImageToTensor<side>> {
    static constexpr const char* kName = "ImageToTensor";
    static Types inputs() { return {kBytes}; }
    static Types outputs() { return {kElement<float>}; }

    explicit ImageToTensor(Ort::ConstKernelInfo info) {
        a.bytes = sizeof a;
        a.out_height = info.GetAttribute<int64_t>("height"), a.out_width = info.GetAttribute<int64_t>("width");
        a.gain = info.GetAttribute<float>("gain"), a.offset = info.GetAttribute<float>("offset");
        a.layout = CODI_NCHW, a.type = CODI_FLOAT32;
    }

    void compute(Ort::KernelContext& context) {
        const Input image(context, 0);
        if (image.shape.size() != 4) refuse("ImageToTensor: image is " + image.text() + ": expected [B, H, W, C]");
        codi_image_to_tensor call = a;
        call.batch = image.shape[0], call.height = image.shape[1], call.width = image.shape[2],
        call.channels = image.shape[3];
        call.image = image.data(),
        call.out = output(context, 0, {call.batch, call.channels, a.out_height, a.out_width});
        check(CODI_CALL(codi_image_to_tensor, side, call, stream_of<side>(context)));
    }

    codi_image_to_tensor a{};
};

// tensor [B, C, H, W] -> uint8 [B, H, W, C].
template <class T, Side side>
struct TensorToImage : Kernel<TensorToImage<T, side>> {
    static constexpr const char* kName = "TensorToImage";
    static Types inputs() { return {kElement<T>}; }
    static Types outputs() { return {kBytes}; }

    explicit TensorToImage(Ort::ConstKernelInfo) {}

    void compute(Ort::KernelContext& context) {
        const Input tensor(context, 0);
        if (tensor.shape.size() != 4) refuse("TensorToImage: tensor is " + tensor.text() + ": expected [B, C, H, W]");
        codi_tensor_to_image a{};
        a.bytes = sizeof a;
        a.batch = tensor.shape[0], a.channels = tensor.shape[1], a.height = tensor.shape[2], a.width = tensor.shape[3];
        a.layout = CODI_NCHW, a.type = kType<T>;
        a.tensor = tensor.data(), a.image = output(context, 0, {a.batch, a.height, a.width, a.channels});
        check(CODI_CALL(codi_tensor_to_image, side, a, stream_of<side>(context)));
    }
};

template <class Op, Side side>
void add(Ort::CustomOpDomain& domain) {
    static const Registered<Op, side> op;
    domain.Add(&op);
}

template <class T, Side side>
void add_real(Ort::CustomOpDomain& domain) {
    add<GroupNorm<T, true, side>, side>(domain);
    add<GroupNorm<T, false, side>, side>(domain);
    add<Geglu<T, side>, side>(domain);
    add<SamplerStep<T, side>, side>(domain);
    add<TensorToImage<T, side>, side>(domain);
}

template <Side side>
void add_all(Ort::CustomOpDomain& domain) {
    add_real<float, side>(domain);
    add_real<Ort::Float16_t, side>(domain);
    add<ImageToTensor<side>, side>(domain);
}

}  // namespace

extern "C" CODI_API OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
    Ort::Global<void>::api_ = base->GetApi(ORT_API_VERSION);
    if (!Ort::Global<void>::api_)
        return base->GetApi(1)->CreateStatus(ORT_FAIL, "libcodi_onnxruntime.so was built for a newer ONNX Runtime");
    return Registered<Geglu<float, Side::cpu>, Side::cpu>::guarded([&] {
        static Ort::CustomOpDomain domain = [] {
            Ort::CustomOpDomain made{"codi"};
            add_all<Side::cpu>(made);
#ifdef CODI_CUDA
            add_all<Side::cuda>(made);
#endif
            return made;
        }();
        Ort::UnownedSessionOptions(options).Add(domain);
    });
}
