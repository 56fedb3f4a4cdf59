#include "frame.h"

#include <cstring>
#include <string>

#include "failure.h"

namespace codi::detail {
namespace {

constexpr int MOST = 1 << 20;  // pixels along a side

int bytes_per_pixel(int32_t format) {
    switch (format) {
        case CODI_RGB:
        case CODI_BGR: return 3;
        case CODI_RGBA:
        case CODI_BGRA: return 4;
        case CODI_GRAY: return 1;
        default: return 0;
    }
}

void require_rows(const codi_image &image, const std::string &what) {
    if (!image.data) fail(CODI_BAD_ARGUMENT, what + ": data is NULL");
    if (image.width < 1 || image.height < 1 || image.width > MOST || image.height > MOST)
        fail(CODI_BAD_ARGUMENT, what + " is " + std::to_string(image.width) + " x " + std::to_string(image.height),
             "expected 1 to " + std::to_string(MOST) + " pixels along each side");
    auto least = static_cast<size_t>(image.width) * static_cast<size_t>(bytes_per_pixel(image.format));
    if (image.pitch && image.pitch < least)
        fail(CODI_BAD_ARGUMENT, what + ": a pitch of " + std::to_string(image.pitch) + " bytes is less than a row",
             "expected at least " + std::to_string(least) + ", or 0 for rows without gaps");
}

}  // namespace

void require_picture(const codi_image *image, const char *what) {
    if (!image) fail(CODI_BAD_ARGUMENT, std::string(what) + " is NULL");
    if (image->format == CODI_NV12)
        fail(CODI_BAD_ARGUMENT, std::string(what) + " is NV12, which has no colours before a matrix and a range are chosen",
             "convert it to RGB or BGRA, as nvvidconv and VIC do");
    if (bytes_per_pixel(image->format) < 3)
        fail(CODI_BAD_ARGUMENT, std::string(what) + " has format " + std::to_string(image->format),
             "expected CODI_RGB, CODI_BGR, CODI_RGBA or CODI_BGRA");
    require_rows(*image, what);
}

void require_mask(const codi_image *mask, const codi_image &input) {
    if (!mask) fail(CODI_BAD_ARGUMENT, "this task needs a mask", "set mask in codi_run_options: CODI_GRAY, 255 = fill");
    if (mask->format != CODI_GRAY) fail(CODI_BAD_ARGUMENT, "the mask's format is not CODI_GRAY");
    require_rows(*mask, "the mask");
    if (mask->width != input.width || mask->height != input.height)
        fail(CODI_BAD_ARGUMENT, "the mask is " + std::to_string(mask->width) + " x " + std::to_string(mask->height),
             "expected " + std::to_string(input.width) + " x " + std::to_string(input.height) + ", as the input");
}

Frame::Frame(const codi_image &image)
    : data_(static_cast<uint8_t *>(image.data)), width_(image.width), height_(image.height),
      bytes_(bytes_per_pixel(image.format)), red_(image.format == CODI_BGR || image.format == CODI_BGRA ? 2 : 0),
      pitch_(image.pitch ? image.pitch : static_cast<size_t>(width_) * static_cast<size_t>(bytes_)) {}

void Frame::read(int y, uint8_t *to) const {
    const uint8_t *from = row(y);
    if (bytes_ == 3 && red_ == 0) {
        std::memcpy(to, from, static_cast<size_t>(width_) * 3);
        return;
    }
    for (int x = 0; x < width_; ++x, from += bytes_, to += 3) to[0] = from[red_], to[1] = from[1], to[2] = from[2 - red_];
}

void Frame::write(int y, const uint8_t *from) const {
    uint8_t *to = row(y);
    if (bytes_ == 3 && red_ == 0) {
        std::memcpy(to, from, static_cast<size_t>(width_) * 3);
        return;
    }
    for (int x = 0; x < width_; ++x, from += 3, to += bytes_) to[red_] = from[0], to[1] = from[1], to[2 - red_] = from[2];
}

void Frame::read_alpha(int y, uint8_t *to) const {
    const uint8_t *from = row(y) + 3;
    for (int x = 0; x < width_; ++x, from += 4) to[x] = *from;
}

void Frame::write_alpha(int y, const uint8_t *from) const {
    uint8_t *to = row(y) + 3;
    for (int x = 0; x < width_; ++x, to += 4) *to = from[x];
}

}  // namespace codi::detail
