// A caller's picture, whatever its format and pitch, as rows of RGB.
#pragma once
#include "codi.h"

namespace codi::detail {

// What codi_run may be given. Throws Failure (bad-argument) that says what is wrong with `what`.
void require_picture(const codi_image *image, const char *what);
void require_mask(const codi_image *mask, const codi_image &input);

class Frame {
  public:
    explicit Frame(const codi_image &image);
    void read(int y, uint8_t *row) const;                        // RGB [width, 3]
    void write(int y, const uint8_t *row) const;                 // RGB [width, 3]
    void read_alpha(int y, uint8_t *row) const;                  // [width]
    void write_alpha(int y, const uint8_t *row) const;           // [width]
    const uint8_t *pixel(int y, int x) const { return row(y) + x * bytes_; }
    int red() const { return red_; }                             // place of the red byte in a pixel; green is in the middle
    bool has_alpha() const { return bytes_ == 4; }
    bool packed_rgb() const { return bytes_ == 3 && red_ == 0 && pitch_ == static_cast<size_t>(width_) * 3; }
    int width() const { return width_; }
    int height() const { return height_; }

  private:
    uint8_t *row(int y) const { return data_ + static_cast<size_t>(y) * pitch_; }

    uint8_t *data_;
    int width_, height_, bytes_, red_;
    size_t pitch_;
};

}  // namespace codi::detail
