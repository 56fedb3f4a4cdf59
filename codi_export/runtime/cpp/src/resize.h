// Bicubic resizing of 8-bit pictures with Pillow's arithmetic (a = -0.5, antialiased when it shrinks, 22-bit weights,
// rounded to 8 bits between the two passes), so that results equal Pillow's byte for byte.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace codi::detail {

// The weights of one axis: output i is the sum of count[i] inputs from first[i] on.
class Weights {
  public:
    void plan(int size, int out);  // the same again is free
    const int32_t *of(int i) const { return weights_.data() + static_cast<size_t>(i) * most_; }
    int first(int i) const { return first_[static_cast<size_t>(i)]; }
    int count(int i) const { return count_[static_cast<size_t>(i)]; }
    size_t bytes() const { return (weights_.size() + first_.size() + count_.size()) * 4; }

  private:
    int size_ = 0, out_ = 0;
    size_t most_ = 0;
    std::vector<int32_t> weights_;
    std::vector<int> first_, count_;
};

// A picture of `channels` bytes a pixel, enlarged or shrunk: rows in, in order; then any row out.
class Resizer {
  public:
    void begin(int height, int width, int out_height, int out_width, int channels);
    void put(int y, const uint8_t *row);     // [width, channels]
    void get(int y, uint8_t *row) const;     // [out_width, channels]
    size_t bytes() const { return columns_.bytes() + rows_.bytes() + narrow_.size(); }

  private:
    int width_ = 0, out_width_ = 0, channels_ = 0;
    bool across_ = false, down_ = false;  // an axis that keeps its size is copied
    Weights columns_, rows_;
    std::vector<uint8_t> narrow_;  // [height, out_width, channels]: resized along the first axis only
};

}  // namespace codi::detail
