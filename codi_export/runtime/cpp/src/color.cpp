#include "color.h"

#include <cmath>

namespace codi::detail {

void Wavelet::begin(int width) {
    width_ = width;
    size_t stride = static_cast<size_t>(width) * 3;
    content_.resize(stride), style_.resize(stride);
    padded_.resize(stride + 2 * REACH * 3);
    line_.resize(stride), sum_.assign(stride, 0), total_.assign(stride, 0);
    lines_.assign(stride * BOX, 0), sums_.assign(stride * BOX, 0);
}

void Wavelet::blur_row() {
    for (size_t c = 0; c < 3; ++c) {
        auto difference = [&](int x) {
            auto place = static_cast<size_t>(std::clamp(x, 0, width_ - 1)) * 3 + c;
            return int32_t{style_[place]} - content_[place];
        };
        int32_t sum = 0, total = 0;
        for (int x = -REACH; x < width_ + REACH; ++x) {  // padded_ holds the sum of BOX differences that ends at x
            sum += difference(x) - (x - BOX >= -REACH ? difference(x - BOX) : 0);
            auto here = static_cast<size_t>(x + REACH) * 3 + c;
            padded_[here] = sum;
            if (x < 0) continue;
            total += sum - (x >= BOX ? padded_[here - BOX * 3] : 0);
            if (x >= REACH) line_[static_cast<size_t>(x - REACH) * 3 + c] = total;
        }
    }
}

void Wavelet::blur_column(int ahead) {
    size_t stride = line_.size(), slot = static_cast<size_t>((ahead + REACH) % BOX) * stride;
    int32_t *oldest = lines_.data() + slot, *oldest_sum = sums_.data() + slot;
    for (size_t i = 0; i < stride; ++i) {
        sum_[i] += line_[i] - oldest[i];
        oldest[i] = line_[i];
    }
    if (ahead < 0) return;  // the first sum of BOX rows ends at row 0
    for (size_t i = 0; i < stride; ++i) {
        total_[i] += sum_[i] - oldest_sum[i];
        oldest_sum[i] = sum_[i];
    }
}

void Wavelet::correct() {
    constexpr int bits = 20;  // BOX^4
    for (size_t i = 0; i < total_.size(); ++i)
        content_[i] = static_cast<uint8_t>(std::clamp(content_[i] + ((total_[i] + (1 << (bits - 1))) >> bits), 0, 255));
}

void Statistics::add(const uint8_t *row, int width) {
    n += static_cast<uint64_t>(width);
    for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c) {
            uint64_t value = *row++;
            sum[c] += value, squares[c] += value * value;
        }
}

Levels::Levels(const Statistics &content, const Statistics &style) {
    __extension__ using Wide = unsigned __int128;
    // n^2 times the variance, exact until it becomes a double
    auto spread = [](const Statistics &s, int c) {
        return static_cast<double>(Wide{s.n} * s.squares[c] - Wide{s.sum[c]} * s.sum[c]);
    };
    for (int c = 0; c < 3; ++c) {
        auto n = static_cast<double>(content.n), m = static_cast<double>(style.n);
        double from = static_cast<double>(content.sum[c]) / n, to = static_cast<double>(style.sum[c]) / m;
        double before = std::sqrt(spread(content, c)) / n, after = std::sqrt(spread(style, c)) / m;
        double ratio = before > 0 ? after / before : 1.0;
        for (int level = 0; level < 256; ++level)
            of[c][level] = static_cast<uint8_t>(std::clamp(std::floor((level - from) * ratio + to + 0.5), 0.0, 255.0));
    }
}

void Levels::apply(uint8_t *row, int width) const {
    for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c, ++row) *row = of[c][*row];
}

}  // namespace codi::detail
