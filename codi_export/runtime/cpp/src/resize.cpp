#include "resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace codi::detail {
namespace {

constexpr int BITS = 32 - 8 - 2;  // of the weights' fraction

double bicubic(double x) {
    constexpr double a = -0.5;
    x = std::fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

uint8_t level(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> BITS, 0, 255)); }

}  // namespace

void Weights::plan(int size, int out) {
    if (size == size_ && out == out_) return;
    size_ = size, out_ = out;
    double scale = static_cast<double>(size) / out, filter = std::max(scale, 1.0), support = 2.0 * filter, step = 1.0 / filter;
    most_ = static_cast<size_t>(std::ceil(support)) * 2 + 1;
    weights_.assign(static_cast<size_t>(out) * most_, 0);
    first_.resize(static_cast<size_t>(out));
    count_.resize(static_cast<size_t>(out));
    std::vector<double> exact(most_);
    for (int i = 0; i < out; ++i) {
        double centre = (i + 0.5) * scale, sum = 0.0;
        int low = std::max(static_cast<int>(centre - support + 0.5), 0);
        int high = std::min(static_cast<int>(centre + support + 0.5), size), count = high - low;
        for (int k = 0; k < count; ++k) sum += exact[static_cast<size_t>(k)] = bicubic((k + low - centre + 0.5) * step);
        for (int k = 0; k < count; ++k) {
            double weight = sum != 0.0 ? exact[static_cast<size_t>(k)] / sum : exact[static_cast<size_t>(k)];
            weights_[static_cast<size_t>(i) * most_ + static_cast<size_t>(k)] =
                static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << BITS));
        }
        first_[static_cast<size_t>(i)] = low, count_[static_cast<size_t>(i)] = count;
    }
}

void Resizer::begin(int height, int width, int out_height, int out_width, int channels) {
    width_ = width, out_width_ = out_width, channels_ = channels;
    across_ = width != out_width, down_ = height != out_height;
    columns_.plan(width, out_width);
    rows_.plan(height, out_height);
    narrow_.resize(static_cast<size_t>(height) * static_cast<size_t>(out_width * channels));
}

void Resizer::put(int y, const uint8_t *row) {
    uint8_t *to = narrow_.data() + static_cast<size_t>(y) * static_cast<size_t>(out_width_ * channels_);
    if (!across_) {
        std::memcpy(to, row, static_cast<size_t>(width_ * channels_));
        return;
    }
    for (int x = 0; x < out_width_; ++x) {
        const int32_t *weights = columns_.of(x);
        const uint8_t *from = row + columns_.first(x) * channels_;
        for (int c = 0; c < channels_; ++c) {
            int32_t sum = 1 << (BITS - 1);
            for (int k = 0; k < columns_.count(x); ++k) sum += weights[k] * from[k * channels_ + c];
            *to++ = level(sum);
        }
    }
}

void Resizer::get(int y, uint8_t *row) const {
    size_t stride = static_cast<size_t>(out_width_ * channels_);
    if (!down_) {
        std::memcpy(row, narrow_.data() + static_cast<size_t>(y) * stride, stride);
        return;
    }
    const int32_t *weights = rows_.of(y);
    const uint8_t *from = narrow_.data() + static_cast<size_t>(rows_.first(y)) * stride;
    for (size_t i = 0; i < stride; ++i) {
        int32_t sum = 1 << (BITS - 1);
        for (int k = 0; k < rows_.count(y); ++k) sum += weights[k] * from[static_cast<size_t>(k) * stride + i];
        row[i] = level(sum);
    }
}

}  // namespace codi::detail
