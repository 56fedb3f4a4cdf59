// One graph of a bundle, loaded and ready to run: codi_export/runtime/session.py in C++.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend.h"
#include "bundle.h"
#include "codi.h"
#include "color.h"
#include "frame.h"
#include "resize.h"
#include "tiling.h"

namespace codi::detail {

// What one call needs. It is kept and used again, so that a second frame of the same size allocates nothing.
struct Workspace {
    std::unique_ptr<Call> call;
    std::atomic<bool> cancelled{false};
    std::vector<std::vector<uint8_t>> buffers;  // one for each input of the graph
    std::vector<void*> inputs;                  // where each input lies in this call
    std::vector<uint8_t> output, row;
    struct Place {
        bool known = false;
        uint64_t seed = 0;
        int y = 0, x = 0;
    };
    std::vector<Place> noise;  // what each image of the batch has noise for
    Axis rows, columns;
    Canvas canvas;
    Resizer picture, alpha;
    Wavelet wavelet;
};

class Session {
  public:
    Session(const std::string& bundle, const codi_options& options);
    void run(const codi_image* input, const codi_image* output, const codi_run_options& options);
    void run_tensors(const codi_tensor* tensors, size_t count, int32_t memory);
    void make_noise(uint64_t seed, float* noise, size_t count) const;
    void cancel();
    void info(codi_info& info) const;
    const std::string& description() const { return description_; }

  private:
    class Lease;

    std::unique_ptr<Workspace> workspace();
    void require_fitting(const codi_image* input, const codi_image* output, const codi_run_options& options) const;
    void require_embeds(size_t place, const char* name, const float* given, size_t count) const;
    void require_memory(const codi_image& input, const codi_run_options& options) const;
    void fill_fixed(Workspace& work, const codi_run_options& options) const;
    void run_direct(Workspace& work, const codi_image& input, const codi_image& output, const codi_run_options& options);
    void run_tiles(Workspace& work, const Frame& input, const Frame& output, const codi_run_options& options);
    void fill_tile(Workspace& work, size_t slot, int top, int left, const Frame& input, const codi_run_options& options) const;
    void fill_noise(Workspace& work, size_t slot, int top, int left, uint64_t seed) const;
    void fix_colors(Workspace& work, const Frame& input, const Frame& output, int32_t fix) const;
    void copy_alpha(Workspace& work, const Frame& input, const Frame& output) const;
    void call(Workspace& work, void* output, int32_t memory);
    size_t place(const char* name) const;  // of an input; the number of inputs if the graph does not take it

    Graph graph_;
    int batch_, height_, width_, scale_, align_;  // of a tile, in input pixels
    size_t image_, mask_, noise_, prompt_, pooled_, adapter_scale_, max_memory_;
    std::unique_ptr<Runner> runner_;
    std::string description_;

    std::mutex mutex_;
    std::vector<std::unique_ptr<Workspace>> idle_;
    std::vector<Workspace*> busy_;
};

}  // namespace codi::detail
