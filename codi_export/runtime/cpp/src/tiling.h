// Cut a large picture into tiles that overlap, and blend what comes back: codi_export/runtime/tiling.py, number for number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace codi::detail {

constexpr int OVERLAP = 16;  // input pixels that neighbouring tiles share; at most a quarter of a tile

// One axis of a picture: where its tiles lie, which pixel stands for each padded one, and how tiles are weighed.
class Axis {
  public:
    // Plan `length` pixels in tiles of `tile`, at multiples of `align`, enlarged by `scale`. Planning the same again is free.
    void plan(int length, int tile, int align, int scale);

    size_t places() const { return total_.size(); }  // output pixels, padding included
    const std::vector<int> &starts() const { return starts_; }
    int source(int place) const { return source_[static_cast<size_t>(place)]; }
    // tile * scale weights of tile number i, and their sum over all tiles at each of places().
    const uint32_t *weights(size_t i) const { return weights_.data() + i * static_cast<size_t>(tile_ * scale_); }
    const uint32_t *total() const { return total_.data(); }
    size_t bytes() const { return (starts_.size() + source_.size() + weights_.size() + total_.size()) * 4; }

  private:
    int length_ = 0, tile_ = 0, align_ = 0, scale_ = 0;
    std::vector<int> starts_, source_;
    std::vector<uint32_t> weights_, total_;
};

// The weighted mean of RGB tiles, added row of tiles by row of tiles; it holds one such row, not the picture.
class Canvas {
  public:
    void begin(const Axis &rows, const Axis &columns, int tile_height, int tile_width);
    // Add the tile with numbers (row, column), `pixels` uint8 [tile_height, tile_width, 3], in output pixels.
    void add(size_t row, size_t column, int top, int left, const uint8_t *pixels);
    // The picture's row y, uint8 [width, 3], once every tile that touches it was added; rows are taken in order.
    void take(int y, uint8_t *row, int width);
    size_t bytes() const { return sum_.size() * sizeof(uint32_t); }

  private:
    uint32_t *sum(int y) { return sum_.data() + static_cast<size_t>(y % height_) * stride_; }

    const Axis *rows_ = nullptr, *columns_ = nullptr;
    int height_ = 0, width_ = 0;
    size_t stride_ = 0;
    std::vector<uint32_t> sum_;  // a ring of height_ rows
};

}  // namespace codi::detail
