#include "tiling.h"

#include <algorithm>

namespace codi::detail {

void Axis::plan(int length, int tile, int align, int scale) {
    if (length == length_ && tile == tile_ && align == align_ && scale == scale_) return;
    length_ = length, tile_ = tile, align_ = align, scale_ = scale;
    int padded = std::max(tile, (length + align - 1) / align * align);
    bool mirrored = padded - length < length;
    source_.resize(static_cast<size_t>(padded));
    for (int i = 0; i < padded; ++i)
        source_[static_cast<size_t>(i)] = i < length ? i : mirrored ? 2 * (length - 1) - i : length - 1;

    int overlap = std::min(OVERLAP, tile / 4), last = padded - tile;
    int stride = std::max((tile - overlap) / align, 1) * align;
    starts_.clear();
    for (int start = 0; start < last; start += stride) starts_.push_back(start);
    starts_.push_back(last);

    int shared = overlap;
    for (size_t i = 1; i < starts_.size(); ++i) shared = std::min(shared, starts_[i - 1] + tile - starts_[i]);
    shared = std::max(shared, 0) * scale;
    int margin = shared / 4, top = std::max(shared - 2 * margin, 1), size = tile * scale;
    auto ramp = [&](int distance) { return std::clamp(distance - margin + 1, 0, top); };
    weights_.resize(starts_.size() * static_cast<size_t>(size));
    total_.assign(static_cast<size_t>(padded * scale), 0);
    for (size_t i = 0; i < starts_.size(); ++i)
        for (int place = 0; place < size; ++place) {
            int before = i ? ramp(place) : top, after = i + 1 < starts_.size() ? ramp(size - 1 - place) : top;
            auto weight = static_cast<uint32_t>(std::min(before, after));
            weights_[i * static_cast<size_t>(size) + static_cast<size_t>(place)] = weight;
            total_[static_cast<size_t>(starts_[i] * scale + place)] += weight;
        }
}

void Canvas::begin(const Axis &rows, const Axis &columns, int tile_height, int tile_width) {
    rows_ = &rows, columns_ = &columns, height_ = tile_height, width_ = tile_width;
    stride_ = columns.places() * 3;
    sum_.assign(static_cast<size_t>(height_) * stride_, 0);
}

void Canvas::add(size_t row, size_t column, int top, int left, const uint8_t *pixels) {
    const uint32_t *down = rows_->weights(row), *across = columns_->weights(column);
    for (int y = 0; y < height_; ++y) {
        uint32_t *to = sum(top + y) + static_cast<size_t>(left) * 3;
        for (int x = 0; x < width_; ++x, to += 3, pixels += 3) {
            uint32_t weight = down[y] * across[x];
            to[0] += weight * pixels[0], to[1] += weight * pixels[1], to[2] += weight * pixels[2];
        }
    }
}

void Canvas::take(int y, uint8_t *row, int width) {
    uint32_t *from = sum(y), down = rows_->total()[y];
    const uint32_t *across = columns_->total();
    for (int x = 0; x < width; ++x, from += 3, row += 3) {
        uint32_t weight = down * across[x], half = weight / 2;
        for (int c = 0; c < 3; ++c) row[c] = static_cast<uint8_t>((from[c] + half) / weight);
    }
    std::fill_n(sum(y), stride_, 0u);
}

}  // namespace codi::detail
