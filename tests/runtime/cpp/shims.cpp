// What libcodi does inside, reachable from Python: the property tests compare it with codi_export/runtime.
#include <noise/noise.h>

#include "color.h"
#include "engines.h"
#include "failure.h"
#include "resize.h"
#include "sha256.h"
#include "tiling.h"

using namespace codi::detail;

#define SHIM __attribute__((visibility("default")))

extern "C" {

SHIM void shim_noise(uint64_t seed, const int32_t* shape, uint32_t y, uint32_t x, uint32_t image, float* to) {
    for (int b = 0; b < shape[0]; ++b)
        for (int c = 0; c < shape[1]; ++c)
            for (int i = 0; i < shape[2]; ++i)
                for (int j = 0; j < shape[3]; ++j)
                    *to++ = codi::normal(seed, image + uint32_t(b), uint32_t(c), y + uint32_t(i), x + uint32_t(j));
}

// Writes starts and total; answers the number of starts.
SHIM int shim_plan(int length, int tile, int align, int scale, int32_t* starts, int32_t* sources, uint32_t* weights, uint32_t* total) {
    Axis axis;
    axis.plan(length, tile, align, scale);
    const int count = int(axis.starts().size());
    for (int i = 0; i < count; ++i) {
        starts[i] = axis.starts()[size_t(i)];
        for (int k = 0; k < tile * scale; ++k) *weights++ = axis.weights(size_t(i))[k];
    }
    for (size_t i = 0; i < axis.places(); ++i) total[i] = axis.total()[i];
    for (size_t i = 0; i < axis.places() / size_t(scale); ++i) sources[i] = axis.source(int(i));
    return count;
}

// Blends tiles [rows, columns, tile, tile, 3] to [height, width, 3].
SHIM void shim_blend(int height, int width, int tile, int align, const uint8_t* tiles, uint8_t* to) {
    Axis rows, columns;
    rows.plan(height, tile, align, 1), columns.plan(width, tile, align, 1);
    Canvas canvas;
    canvas.begin(rows, columns, tile, tile);
    int taken = 0;
    for (size_t r = 0; r < rows.starts().size(); ++r) {
        for (; taken < rows.starts()[r]; ++taken) canvas.take(taken, to + taken * width * 3, width);
        for (size_t c = 0; c < columns.starts().size(); ++c, tiles += tile * tile * 3)
            canvas.add(r, c, rows.starts()[r], columns.starts()[c], tiles);
    }
    for (; taken < height; ++taken) canvas.take(taken, to + taken * width * 3, width);
}

SHIM void shim_resize(int height, int width, int out_height, int out_width, int channels, const uint8_t* from, uint8_t* to) {
    Resizer resizer;
    resizer.begin(height, width, out_height, out_width, channels);
    for (int y = 0; y < height; ++y) resizer.put(y, from + y * width * channels);
    for (int y = 0; y < out_height; ++y) resizer.get(y, to + y * out_width * channels);
}

SHIM void shim_wavelet(int height, int width, int photo_height, int photo_width, const uint8_t* photo, uint8_t* picture) {
    Resizer resizer;
    resizer.begin(photo_height, photo_width, height, width, 3);
    for (int y = 0; y < photo_height; ++y) resizer.put(y, photo + y * photo_width * 3);
    Wavelet wavelet;
    wavelet.run(
        height, width, [&](int y, uint8_t* row) { std::copy_n(picture + y * width * 3, width * 3, row); },
        [&](int y, uint8_t* row) { resizer.get(y, row); }, [&](int y, const uint8_t* row) { std::copy_n(row, width * 3, picture + y * width * 3); });
}

SHIM void shim_adain(int height, int width, int photo_height, int photo_width, const uint8_t* photo, uint8_t* picture) {
    Statistics content, style;
    for (int y = 0; y < height; ++y) content.add(picture + y * width * 3, width);
    for (int y = 0; y < photo_height; ++y) style.add(photo + y * photo_width * 3, photo_width);
    const Levels levels(content, style);
    for (int y = 0; y < height; ++y) levels.apply(picture + y * width * 3, width);
}

// Writes the engine's path, or what is wrong; answers a codi_status.
SHIM int shim_engine(const char* folder, const char* version, int sm, char* text, size_t size) {
    try {
        snprintf(text, size, "%s", find_engine(folder, read_manifest(folder).graphs.at(0), version, sm).c_str());
        return CODI_OK;
    } catch (const Failure& failure) {
        snprintf(text, size, "%s", failure.text.c_str());
        return failure.code;
    }
}

SHIM void shim_sha256(const uint8_t* data, size_t bytes, size_t piece, char* hex) {
    Sha256 digest;
    for (size_t at = 0; at < bytes; at += piece) digest.update(data + at, std::min(piece, bytes - at));
    digest.hex().copy(hex, 64);
}
}
