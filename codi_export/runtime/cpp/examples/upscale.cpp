// A file in, a file out: upscale BUNDLE INPUT OUTPUT.png [SEED] [none|wavelet|adain]
#include <codi.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "files.h"

namespace {

codi_color_fix color_fix(const std::string& name) {
    if (name == "wavelet") return CODI_FIX_WAVELET;
    if (name == "adain") return CODI_FIX_ADAIN;
    return CODI_FIX_NONE;
}

// Called after each batch of tiles; anything but 0 would stop the call.
int show(void*, int32_t done, int32_t total) {
    std::fprintf(stderr, "\rtile %d of %d%s", done, total, done == total ? "\n" : "");
    return 0;
}

void upscale(const char* bundle, const char* from, const char* to, const codi::RunOptions& options) {
    codi_image small;
    if (!read_image(from, &small)) throw std::runtime_error(std::string("cannot read ") + from);
    const std::unique_ptr<void, decltype(&std::free)> pixels(small.data, std::free);

    codi::Session session(bundle);
    const int scale = session.info().scale;
    std::vector<uint8_t> result(size_t(3) * scale * scale * small.width * small.height);
    const codi_image large = {result.data(), small.width * scale, small.height * scale, 0, CODI_RGB};
    session.run(small, large, options);

    if (!write_png(to, &large)) throw std::runtime_error(std::string("cannot write ") + to);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::cerr << "usage: " << argv[0] << " BUNDLE INPUT OUTPUT.png [SEED] [none|wavelet|adain]\n";
        return 2;
    }
    try {
        codi::RunOptions options;
        options.seed = argc > 4 ? std::strtoull(argv[4], nullptr, 10) : 0;
        options.color_fix = color_fix(argc > 5 ? argv[5] : "none");
        options.progress = show;
        upscale(argv[1], argv[2], argv[3], options);
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
