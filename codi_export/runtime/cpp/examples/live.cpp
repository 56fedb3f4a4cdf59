// A stream of frames through one session: live BUNDLE FRAMES WIDTH HEIGHT < frames.bgra > large.bgra
//
// Frames are BGRA, as cameras and GStreamer's appsink give them, for instance
//   gst-launch-1.0 -q v4l2src ! videoconvert ! video/x-raw,format=BGRA,width=640,height=360 ! fdsink | live sr-1step 300 640 360 | …
// After the first frame nothing is allocated here or in libcodi, and one seed keeps the noise still, so that it does not flicker.
#include <chrono>
#include <codi.hpp>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
    if (argc != 5) {
        std::cerr << "usage: " << argv[0] << " BUNDLE FRAMES WIDTH HEIGHT < frames.bgra > large.bgra\n";
        return 2;
    }
    try {
        codi::Session session(argv[1]);
        const int frames = std::atoi(argv[2]), width = std::atoi(argv[3]), height = std::atoi(argv[4]), scale = session.info().scale;
        std::vector<uint8_t> from(size_t(4) * width * height), to(from.size() * scale * scale);
        const codi_image small = {from.data(), width, height, 0, CODI_BGRA}, large = {to.data(), width * scale, height * scale, 0, CODI_BGRA};
        for (int frame = 0; frame < frames && std::fread(from.data(), 1, from.size(), stdin) == from.size(); ++frame) {
            const auto start = std::chrono::steady_clock::now();
            session.run(small, large);
            const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - start;
            std::fprintf(stderr, "frame %d: %.1f ms\n", frame, taken.count());
            std::fwrite(to.data(), 1, to.size(), stdout);
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
