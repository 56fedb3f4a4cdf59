// Give a picture the colours of the small photo that it was made from: codi_export/runtime/color.py, number for number.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace codi::detail {

// Replaces the low frequencies of a picture by those of another of its size, in place. Five levels of the "a trous" wavelet
// [1 2 1] / 4 are the product of (1 + z^(2^i))^2, a box of 32 pixels twice: sums of whole numbers, and no more work for
// a wide filter than for a narrow one. Beyond an edge, the difference at the edge goes on.
class Wavelet {
  public:
    // `content(y, row)` and `style(y, row)` give a row of `width` RGB pixels, `put(y, row)` stores a finished one.
    template <class Content, class Style, class Put>
    void run(int height, int width, Content content, Style style, Put put) {
        begin(width);
        for (int ahead = -REACH; ahead < height + REACH; ++ahead) {
            if (ahead == -REACH || (ahead > 0 && ahead < height)) {
                int y = std::max(ahead, 0);
                content(y, content_.data());
                style(y, style_.data());
                blur_row();
            }
            blur_column(ahead);
            if (int y = ahead - REACH; y >= 0) {
                content(y, content_.data());
                correct();
                put(y, content_.data());
            }
        }
    }
    size_t bytes() const { return (line_.size() * (2 * BOX + 3) + padded_.size()) * 4 + content_.size() * 2; }

  private:
    static constexpr int BOX = 32, REACH = BOX - 1;

    void begin(int width);
    void blur_row();              // content_ and style_ -> line_: their difference, blurred along the row
    void blur_column(int ahead);  // line_ is row `ahead`; then total_ is row `ahead` - REACH, blurred along both axes
    void correct();               // content_ += total_

    int width_ = 0;
    std::vector<uint8_t> content_, style_;
    std::vector<int32_t> padded_, line_, sum_, total_;  // padded_ also holds its own box sums
    std::vector<int32_t> lines_, sums_;                 // rings of BOX rows
};

// What the mean and the standard deviation of each channel follow from.
struct Statistics {
    uint64_t n = 0, sum[3] = {}, squares[3] = {};
    void add(const uint8_t *row, int width);
};

// For each channel, 256 levels that move the mean and deviation of `content` to those of `style` (AdaIN).
struct Levels {
    uint8_t of[3][256];
    Levels(const Statistics &content, const Statistics &style);
    void apply(uint8_t *row, int width) const;
};

}  // namespace codi::detail
