#include "../common/real.h"
#include "check.h"
#include "image_io.h"

namespace {

using namespace codi;

constexpr int kTile = 256;  // pixels of a row at a time
constexpr int kRows = 32;   // rows that share the taps of a tile
constexpr int kChannels = 4;

// Values of a row of pixels, planar, to where they belong.
template <class T>
void write(const codi_image_to_tensor& a, int64_t image, int64_t y, int64_t x, int n, const float (*values)[kTile]) {
    const int64_t plane = a.out_height * a.out_width, pixel = y * a.out_width + x, channels = a.channels;
    T* out = static_cast<T*>(a.out) + image * plane * channels;
    for (int64_t c = 0; c < channels; ++c) {
        if (a.layout == CODI_NCHW)
            for (int i = 0; i < n; ++i) out[c * plane + pixel + i] = to<T>(values[c][i]);
        else
            for (int i = 0; i < n; ++i) out[(pixel + i) * channels + c] = to<T>(values[c][i]);
    }
}

template <class T>
void copy_row(const codi_image_to_tensor& a, int64_t image, int64_t y, int64_t x, int n) {
    const uint8_t* from = static_cast<const uint8_t*>(a.image) + ((image * a.height + y) * a.width + x) * a.channels;
    float values[kChannels][kTile];
    for (int64_t c = 0; c < a.channels; ++c)
        for (int i = 0; i < n; ++i) values[c][i] = normalised(from[i * a.channels + c], a.gain, a.offset);
    write<T>(a, image, y, x, n, values);
}

// Rows [y, y + rows) and columns [x, x + n): each output row first mixes four source rows, then its own columns.
template <class T>
void enlarge(const codi_image_to_tensor& a, int64_t image, int y, int rows, int x, int n) {
    const int width = int(a.width), channels = int(a.channels);
    int place[4][kTile];
    float weight[4][kTile];
    for (int i = 0; i < n; ++i) {
        const Taps taps = taps_of(x + i, width, int(a.out_width));
        for (int k = 0; k < 4; ++k) place[k][i] = taps.place[k] * channels, weight[k][i] = taps.weight[k];
    }
    const int first = place[0][0],
              last = place[3][n - 1] + channels;  // source values of the tile: at most kTile + 4 pixels
    float mixed[(kTile + 4) * kChannels], values[kChannels][kTile];
    for (int row = y; row < y + rows; ++row) {
        const Taps down = taps_of(row, int(a.height), int(a.out_height));
        const uint8_t* line[4];
        for (int k = 0; k < 4; ++k)
            line[k] =
                static_cast<const uint8_t*>(a.image) + (image * a.height + down.place[k]) * a.width * channels + first;
        for (int i = 0; i < last - first; ++i) mixed[i] = weighed(down, line[0][i], line[1][i], line[2][i], line[3][i]);
        for (int c = 0; c < channels; ++c) {
            const float* from = mixed + c - first;
            for (int i = 0; i < n; ++i) {
                const Taps taps{{}, {weight[0][i], weight[1][i], weight[2][i], weight[3][i]}};
                const float level =
                    weighed(taps, from[place[0][i]], from[place[1][i]], from[place[2][i]], from[place[3][i]]);
                values[c][i] = normalised(level, a.gain, a.offset);
            }
        }
        write<T>(a, image, row, x, n, values);
    }
}

template <class T>
void run(const codi_image_to_tensor& a) {
    const bool same = a.height == a.out_height && a.width == a.out_width;
    const int64_t tiles = (a.out_width + kTile - 1) / kTile, strips = (a.out_height + kRows - 1) / kRows;
#pragma omp parallel for schedule(static)
    for (int64_t piece = 0; piece < a.batch * strips * tiles; ++piece) {
        const int64_t image = piece / tiles / strips, y = piece / tiles % strips * kRows, x = piece % tiles * kTile;
        const int rows = int(std::min<int64_t>(kRows, a.out_height - y)),
                  n = int(std::min<int64_t>(kTile, a.out_width - x));
        if (!same) enlarge<T>(a, image, int(y), rows, int(x), n);
        for (int row = 0; same && row < rows; ++row) copy_row<T>(a, image, y + row, x, n);
    }
}

template <class T, int kCount>
void run(const codi_tensor_to_image& a) {
    const int64_t plane = a.height * a.width, tiles = (plane + kTile - 1) / kTile;
    const bool planar = a.layout == CODI_NCHW;
#pragma omp parallel for schedule(static)
    for (int64_t piece = 0; piece < a.batch * tiles; ++piece) {
        const int64_t image = piece / tiles, first = piece % tiles * kTile;
        const int n = int(std::min<int64_t>(kTile, plane - first));
        const T* from = static_cast<const T*>(a.tensor) + image * plane * kCount;
        uint8_t* out = static_cast<uint8_t*>(a.image) + (image * plane + first) * kCount;
        uint8_t levels[kCount * kTile];  // in the tensor's order
        for (int c = 0; c < kCount; ++c) {
            const T* row = planar ? from + c * plane + first : from + first * kCount + c * n;
            for (int i = 0; i < n; ++i) levels[c * n + i] = level_of(to_float(row[i]));
        }
        for (int i = 0; i < n; ++i)
            for (int c = 0; c < kCount; ++c) out[i * kCount + c] = levels[planar ? c * n + i : i * kCount + c];
    }
}

template <class T>
void run(const codi_tensor_to_image& a) {
    switch (a.channels) {
        case 1:
            return run<T, 1>(a);
        case 2:
            return run<T, 2>(a);
        case 3:
            return run<T, 3>(a);
        default:
            return run<T, 4>(a);
    }
}

template <class Record>
int host(const char* op, const Record* a) {
    Check check{op};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    a->type == CODI_FLOAT32 ? run<float>(*a) : run<float16>(*a);
    return CODI_KERNELS_OK;
}

}  // namespace

extern "C" int codi_image_to_tensor_host(const codi_image_to_tensor* a) { return host("image_to_tensor", a); }
extern "C" int codi_tensor_to_image_host(const codi_tensor_to_image* a) { return host("tensor_to_image", a); }
