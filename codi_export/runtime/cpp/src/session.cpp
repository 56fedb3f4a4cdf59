#include "session.h"

#include <algorithm>
#include <cstring>
#include <noise/noise.h>
#include <numeric>

#include "describe.h"
#include "failure.h"

namespace codi::detail {
namespace {

std::string size_text(int64_t width, int64_t height) { return std::to_string(width) + " x " + std::to_string(height); }

std::unique_ptr<Runner> open(const std::filesystem::path& folder, const Graph& graph, const codi_options& options) {
    const std::string backend = options.backend;
    if (backend == "onnxruntime") return open_onnxruntime(folder, graph, options);
    if (backend == "tensorrt") return open_tensorrt(folder, graph, options);
    fail(CODI_UNKNOWN_NAME, "unknown backend '" + backend + "'; available: onnxruntime, tensorrt");
}

}  // namespace

// A workspace for the length of a call.
class Session::Lease {
  public:
    explicit Lease(Session& session) : session_(session) {
        std::unique_ptr<Workspace> work;
        {
            const std::lock_guard<std::mutex> lock(session_.mutex_);
            if (!session_.idle_.empty()) work = std::move(session_.idle_.back()), session_.idle_.pop_back();
        }
        if (!work) work = session_.workspace();
        const std::lock_guard<std::mutex> lock(session_.mutex_);
        work->cancelled = false;
        work->call->renew();
        session_.busy_.push_back(work.get());
        session_.idle_.reserve(session_.busy_.size() + session_.idle_.size());
        work_ = work.release();
    }
    ~Lease() {
        const std::lock_guard<std::mutex> lock(session_.mutex_);
        auto& busy = session_.busy_;
        busy.erase(std::find(busy.begin(), busy.end(), work_));
        session_.idle_.emplace_back(work_);
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Workspace& operator*() const { return *work_; }

  private:
    Session& session_;
    Workspace* work_;
};

Session::Session(const std::string& bundle, const codi_options& options) : max_memory_(options.max_memory) {
    const Manifest manifest = read_manifest(bundle);
    graph_ = select(manifest, options.task ? options.task : "", options.steps);
    require_callable(graph_);
    check_files(bundle, manifest, options.check);
    const auto& shape = graph_.input("image")->shape;
    batch_ = static_cast<int>(shape[0]), height_ = static_cast<int>(shape[1]), width_ = static_cast<int>(shape[2]);
    scale_ = graph_.scale, align_ = graph_.latent_factor / std::gcd(graph_.latent_factor, graph_.scale);
    image_ = place("image"), mask_ = place("mask"), noise_ = place("noise"), prompt_ = place("prompt_embeds");
    pooled_ = place("pooled_prompt_embeds"), adapter_scale_ = place("adapter_scale");
    runner_ = open(bundle, graph_, options);
    description_ = describe(graph_, options, runner_->runtime());
    idle_.push_back(workspace());  // what cannot be had is said now, not at the first frame
}

size_t Session::place(const char* name) const {
    const auto found = std::find_if(graph_.inputs.begin(), graph_.inputs.end(), [&](const TensorSpec& spec) { return spec.name == name; });
    return static_cast<size_t>(found - graph_.inputs.begin());
}

std::unique_ptr<Workspace> Session::workspace() {
    auto work = std::make_unique<Workspace>();
    work->call = runner_->prepare();
    for (const TensorSpec& spec : graph_.inputs) work->buffers.emplace_back(spec.bytes());
    work->inputs.resize(graph_.inputs.size());
    work->output.resize(graph_.outputs[0].bytes());
    work->noise.resize(static_cast<size_t>(batch_));
    return work;
}

void Session::run(const codi_image* input, const codi_image* output, const codi_run_options& options) {
    require_fitting(input, output, options);
    require_memory(*input, options);
    const Lease lease(*this);
    Workspace& work = *lease;
    const Frame from(*input), to(*output);
    work.row.resize(static_cast<size_t>(to.width()) * 3);
    for (size_t i = 0; i < work.inputs.size(); ++i) work.inputs[i] = work.buffers[i].data();
    fill_fixed(work, options);
    const bool one_tile = batch_ == 1 && from.width() == width_ && from.height() == height_;
    if (one_tile && from.packed_rgb() && to.packed_rgb())
        run_direct(work, *input, *output, options);
    else
        run_tiles(work, from, to, options);
    if (options.color_fix != CODI_FIX_NONE) fix_colors(work, from, to, options.color_fix);
    if (to.has_alpha()) copy_alpha(work, from, to);
}

void Session::require_fitting(const codi_image* input, const codi_image* output, const codi_run_options& options) const {
    require_picture(input, "the input");
    require_picture(output, "the output");
    const int64_t width = int64_t{input->width} * scale_, height = int64_t{input->height} * scale_;
    if (output->width != width || output->height != height)
        fail(CODI_BAD_ARGUMENT, "the output is " + size_text(output->width, output->height),
             "expected " + size_text(width, height) + ", " + std::to_string(scale_) + " times the input");
    const size_t taken = graph_.inputs.size();
    if (mask_ < taken) require_mask(options.mask, *input);
    if (mask_ == taken && options.mask) fail(CODI_BAD_ARGUMENT, "task '" + graph_.task + "' takes no mask", "leave it NULL");
    if (prompt_ == taken && options.prompt_embeds) fail(CODI_BAD_ARGUMENT, "this graph's prompt is built in", "leave prompt_embeds NULL");
    if (pooled_ == taken && options.pooled_prompt_embeds) fail(CODI_BAD_ARGUMENT, "this graph reads no prompt as a whole", "leave pooled_prompt_embeds NULL");
    require_embeds(prompt_, "prompt_embeds", options.prompt_embeds, options.prompt_embeds_count);
    require_embeds(pooled_, "pooled_prompt_embeds", options.pooled_prompt_embeds, options.pooled_prompt_embeds_count);
    if (adapter_scale_ == taken && options.adapter_scale != 1.0f)
        fail(CODI_BAD_ARGUMENT, "what this graph's adapter adds is fixed", "codi-export build --adapter-scale-input takes a factor with each call");
    if (options.color_fix < CODI_FIX_NONE || options.color_fix > CODI_FIX_ADAIN)
        fail(CODI_BAD_ARGUMENT, "color_fix is " + std::to_string(options.color_fix), "expected CODI_FIX_NONE, CODI_FIX_WAVELET or CODI_FIX_ADAIN");
    if (options.color_fix != CODI_FIX_NONE && scale_ == 1)
        fail(CODI_BAD_ARGUMENT, "task '" + graph_.task + "' does not enlarge its input, so that has no colours to keep", "leave color_fix at CODI_FIX_NONE");
}

void Session::require_embeds(size_t place, const char* name, const float* given, size_t count) const {
    if (place == graph_.inputs.size()) return;
    const size_t wanted = graph_.inputs[place].elements() / static_cast<size_t>(batch_);
    if (!given) fail(CODI_BAD_ARGUMENT, "this bundle reads a prompt with each call", std::string("set ") + name + ": " + std::to_string(wanted) + " floats");
    if (count != wanted) fail(CODI_BAD_ARGUMENT, std::string(name) + " has " + std::to_string(count) + " floats", "expected " + std::to_string(wanted));
}

void Session::require_memory(const codi_image& input, const codi_run_options& options) const {
    if (!max_memory_) return;
    const size_t width = static_cast<size_t>(input.width) * static_cast<size_t>(scale_);
    size_t bytes = graph_.outputs[0].bytes();
    for (const TensorSpec& spec : graph_.inputs) bytes += spec.bytes();
    bytes += static_cast<size_t>(height_ * scale_) * width * 3 * sizeof(uint32_t);                     // a row of tiles
    if (options.color_fix != CODI_FIX_NONE) bytes += width * static_cast<size_t>(input.height) * 3;    // enlarged along one side
    if (options.color_fix == CODI_FIX_WAVELET) bytes += width * 3 * 68 * sizeof(int32_t);              // two rings of 32 rows, and four
    if (bytes > max_memory_)
        fail(CODI_OUT_OF_MEMORY, "this call needs " + std::to_string(bytes) + " bytes of buffers; max_memory is " + std::to_string(max_memory_),
             "a narrower picture needs less, or raise it");
}

void Session::fill_fixed(Workspace& work, const codi_run_options& options) const {
    if (adapter_scale_ < work.inputs.size()) std::memcpy(work.buffers[adapter_scale_].data(), &options.adapter_scale, sizeof(float));
    const auto repeat = [&](size_t place, const float* given, size_t count) {
        const size_t bytes = count * sizeof(float);
        for (size_t slot = 0; place < work.inputs.size() && slot < static_cast<size_t>(batch_); ++slot)
            std::memcpy(work.buffers[place].data() + slot * bytes, given, bytes);
    };
    repeat(prompt_, options.prompt_embeds, options.prompt_embeds_count);
    repeat(pooled_, options.pooled_prompt_embeds, options.pooled_prompt_embeds_count);
}

// The frame is read and written where it lies.
void Session::run_direct(Workspace& work, const codi_image& input, const codi_image& output, const codi_run_options& options) {
    work.inputs[image_] = input.data;
    if (mask_ < work.inputs.size()) {
        const auto* mask = static_cast<const uint8_t*>(options.mask->data);
        const size_t pitch = options.mask->pitch ? options.mask->pitch : static_cast<size_t>(width_);
        for (int y = 0; y < height_; ++y)
            std::memcpy(work.buffers[mask_].data() + y * width_, mask + static_cast<size_t>(y) * pitch, static_cast<size_t>(width_));
    }
    fill_noise(work, 0, 0, 0, options.seed);
    call(work, output.data, CODI_HOST);
    if (options.progress && options.progress(options.user, 1, 1)) fail(CODI_CANCELLED, "the progress callback stopped this call");
}

void Session::run_tiles(Workspace& work, const Frame& input, const Frame& output, const codi_run_options& options) {
    work.rows.plan(input.height(), height_, align_, scale_);
    work.columns.plan(input.width(), width_, align_, scale_);
    work.canvas.begin(work.rows, work.columns, height_ * scale_, width_ * scale_);
    const auto &tops = work.rows.starts(), &lefts = work.columns.starts();
    const size_t across = lefts.size(), total = tops.size() * across, batch = static_cast<size_t>(batch_), tile = work.output.size() / batch;
    int taken = 0;
    const auto take = [&](int until) {
        for (; taken < until; ++taken) {
            work.canvas.take(taken, work.row.data(), output.width());
            output.write(taken, work.row.data());
        }
    };
    for (size_t start = 0; start < total; start += batch) {
        const size_t count = std::min(batch, total - start);
        for (size_t slot = 0; slot < batch; ++slot) {  // a graph's batch size is fixed: the last tile fills it
            const size_t tile_number = start + std::min(slot, count - 1);
            fill_tile(work, slot, tops[tile_number / across], lefts[tile_number % across], input, options);
        }
        call(work, work.output.data(), CODI_HOST);
        for (size_t slot = 0; slot < count; ++slot) {
            const size_t row = (start + slot) / across, column = (start + slot) % across;
            take(tops[row] * scale_);
            work.canvas.add(row, column, tops[row] * scale_, lefts[column] * scale_, work.output.data() + slot * tile);
        }
        if (options.progress && options.progress(options.user, static_cast<int32_t>(start + count), static_cast<int32_t>(total)))
            fail(CODI_CANCELLED, "the progress callback stopped this call");
    }
    take(output.height());
}

void Session::fill_tile(Workspace& work, size_t slot, int top, int left, const Frame& input, const codi_run_options& options) const {
    const int red = input.red();
    const size_t place = slot * static_cast<size_t>(height_ * width_);
    uint8_t* to = work.buffers[image_].data() + place * 3;
    for (int y = 0; y < height_; ++y) {
        const int row = work.rows.source(top + y);
        for (int x = 0; x < width_; ++x, to += 3) {
            const uint8_t* from = input.pixel(row, work.columns.source(left + x));
            to[0] = from[red], to[1] = from[1], to[2] = from[2 - red];
        }
    }
    if (mask_ < work.inputs.size()) {
        const Frame mask(*options.mask);
        uint8_t* filled = work.buffers[mask_].data() + place;
        for (int y = 0; y < height_; ++y)
            for (int x = 0; x < width_; ++x) *filled++ = *mask.pixel(work.rows.source(top + y), work.columns.source(left + x));
    }
    fill_noise(work, slot, top, left, options.seed);
}

// The noise of a tile's place in the picture, so that neighbours see the same. It is kept for the next frame.
void Session::fill_noise(Workspace& work, size_t slot, int top, int left, uint64_t seed) const {
    Workspace::Place& place = work.noise[slot];
    if (place.known && place.seed == seed && place.y == top && place.x == left) return;
    place = {true, seed, top, left};
    const auto& shape = graph_.inputs[noise_].shape;
    auto* to = reinterpret_cast<float*>(work.buffers[noise_].data()) + slot * static_cast<size_t>(shape[1] * shape[2] * shape[3]);
    const auto latent = [&](int pixels) { return static_cast<uint32_t>(pixels * scale_ / graph_.latent_factor); };
    for (uint32_t c = 0; c < shape[1]; ++c)
        for (uint32_t y = 0; y < shape[2]; ++y)
            for (uint32_t x = 0; x < shape[3]; ++x) *to++ = normal(seed, 0, c, latent(top) + y, latent(left) + x);
}

void Session::fix_colors(Workspace& work, const Frame& input, const Frame& output, int32_t fix) const {
    const int width = output.width(), height = output.height();
    uint8_t* row = work.row.data();
    if (fix == CODI_FIX_ADAIN) {
        Statistics content, style;
        for (int y = 0; y < height; ++y) output.read(y, row), content.add(row, width);
        for (int y = 0; y < input.height(); ++y) input.read(y, row), style.add(row, input.width());
        const Levels levels(content, style);
        for (int y = 0; y < height; ++y) output.read(y, row), levels.apply(row, width), output.write(y, row);
        return;
    }
    work.picture.begin(input.height(), input.width(), height, width, 3);
    for (int y = 0; y < input.height(); ++y) input.read(y, row), work.picture.put(y, row);
    work.wavelet.run(
        height, width, [&](int y, uint8_t* to) { output.read(y, to); }, [&](int y, uint8_t* to) { work.picture.get(y, to); },
        [&](int y, const uint8_t* from) { output.write(y, from); });
}

void Session::copy_alpha(Workspace& work, const Frame& input, const Frame& output) const {
    uint8_t* row = work.row.data();
    if (input.has_alpha()) {
        work.alpha.begin(input.height(), input.width(), output.height(), output.width(), 1);
        for (int y = 0; y < input.height(); ++y) input.read_alpha(y, row), work.alpha.put(y, row);
    } else {
        std::memset(row, 255, static_cast<size_t>(output.width()));
    }
    for (int y = 0; y < output.height(); ++y) {
        if (input.has_alpha()) work.alpha.get(y, row);
        output.write_alpha(y, row);
    }
}

void Session::call(Workspace& work, void* output, int32_t memory) {
    try {
        if (!work.cancelled) work.call->run(work.inputs, output, static_cast<codi_memory>(memory));
    } catch (const Failure&) {
        if (!work.cancelled) throw;
    }
    if (work.cancelled) fail(CODI_CANCELLED, "codi_cancel stopped this call");
}

void Session::run_tensors(const codi_tensor* tensors, size_t count, int32_t memory) {
    if (!tensors) fail(CODI_BAD_ARGUMENT, "tensors is NULL");
    if (memory != CODI_HOST && memory != CODI_DEVICE) fail(CODI_BAD_ARGUMENT, "memory is " + std::to_string(memory), "expected CODI_HOST or CODI_DEVICE");
    const Lease lease(*this);
    Workspace& work = *lease;
    const auto find = [&](const TensorSpec& spec) {
        const codi_tensor* found = nullptr;
        for (size_t i = 0; i < count; ++i)
            if (tensors[i].name && tensors[i].name == spec.name) found = &tensors[i];
        if (!found || !found->data) fail(CODI_BAD_ARGUMENT, "tensor '" + spec.name + "' is missing", "codi_inspect lists what the graph takes and gives");
        if (found->bytes != spec.bytes())
            fail(CODI_BAD_ARGUMENT, "tensor '" + spec.name + "' has " + std::to_string(found->bytes) + " bytes", "expected " + std::to_string(spec.bytes()));
        if (spec.dtype == "float32" && reinterpret_cast<uintptr_t>(found->data) % alignof(float))
            fail(CODI_BAD_ARGUMENT, "tensor '" + spec.name + "' is not aligned to its floats");
        return found->data;
    };
    if (count != graph_.inputs.size() + 1)
        fail(CODI_BAD_ARGUMENT, std::to_string(count) + " tensors", "expected " + std::to_string(graph_.inputs.size() + 1) + ": every input, and the output");
    for (size_t i = 0; i < graph_.inputs.size(); ++i) work.inputs[i] = find(graph_.inputs[i]);
    call(work, find(graph_.outputs[0]), memory);
}

void Session::make_noise(uint64_t seed, float* noise, size_t count) const {
    const auto& shape = graph_.inputs[noise_].shape;
    if (!noise) fail(CODI_BAD_ARGUMENT, "noise is NULL");
    if (count != graph_.inputs[noise_].elements())
        fail(CODI_BAD_ARGUMENT, std::to_string(count) + " floats of noise", "expected " + std::to_string(graph_.inputs[noise_].elements()));
    for (uint32_t b = 0; b < shape[0]; ++b)
        for (uint32_t c = 0; c < shape[1]; ++c)
            for (uint32_t y = 0; y < shape[2]; ++y)
                for (uint32_t x = 0; x < shape[3]; ++x) *noise++ = normal(seed, b, c, y, x);
}

void Session::cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Workspace* work : busy_) work->cancelled = true, work->call->cancel();
}

void Session::info(codi_info& info) const {
    info.tile_width = width_, info.tile_height = height_, info.batch = batch_, info.scale = scale_, info.steps = graph_.steps;
    for (size_t i = 0; i < 4; ++i) info.noise_shape[i] = static_cast<int32_t>(graph_.inputs[noise_].shape[i]);
    const TensorSpec* prompt = graph_.input("prompt_embeds");
    for (size_t i = 0; i < 2; ++i) info.prompt_shape[i] = prompt ? static_cast<int32_t>(prompt->shape[i + 1]) : 0;
    const TensorSpec* pooled = graph_.input("pooled_prompt_embeds");
    info.pooled_prompt_size = pooled ? static_cast<int32_t>(pooled->shape[1]) : 0;
    info.takes_mask = mask_ < graph_.inputs.size(), info.takes_adapter_scale = adapter_scale_ < graph_.inputs.size();
}

}  // namespace codi::detail
