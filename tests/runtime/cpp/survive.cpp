// What an application does to a library over the years, in a minute: survive COMMAND BUNDLE NUMBER. It answers 0, or says why not.
#include <atomic>
#include <codi.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Pixels = std::vector<uint8_t>;

void require(bool holds, const std::string& what) {
    if (!holds) throw std::runtime_error(what);
}

Pixels picture(int width, int height, unsigned seed) {
    Pixels pixels(size_t(width) * height * 3);
    for (uint8_t& value : pixels) value = uint8_t((seed = seed * 1664525u + 1013904223u) >> 24);
    return pixels;
}

Pixels enlarged(codi::Session& session, Pixels& from, int width, int height, uint64_t seed) {
    const int scale = session.info().scale;
    Pixels to(from.size() * scale * scale);
    codi::RunOptions options;
    options.seed = seed;
    session.run({from.data(), width, height, 0, CODI_RGB}, {to.data(), width * scale, height * scale, 0, CODI_RGB}, options);
    return to;
}

long resident_kib() {
    long pages = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> pages >> resident;
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

// Prints the resident memory, in KiB, a hundred times on the way.
void calls(const std::string& bundle, int number) {
    codi::Session session(bundle);
    const codi_info info = session.info();
    Pixels from = picture(info.tile_width, info.tile_height, 1), to(from.size() * info.scale * info.scale);
    const codi_image small = {from.data(), info.tile_width, info.tile_height, 0, CODI_RGB};
    const codi_image large = {to.data(), info.tile_width * info.scale, info.tile_height * info.scale, 0, CODI_RGB};
    codi::RunOptions options;
    for (int i = 0; i < number; ++i) {
        options.seed = uint64_t(i);
        session.run(small, large, options);
        if (i % std::max(number / 100, 1) == 0) std::printf("%d %ld\n", i, resident_kib());
    }
}

void reload(const std::string& bundle, int number) {
    for (int i = 0; i < number; ++i) {
        codi::Session session(bundle);
        if (i % 50 == 0) {
            Pixels from = picture(20, 20, 2);
            enlarged(session, from, 20, 20, 0);
        }
        if (i % std::max(number / 100, 1) == 0) std::printf("%d %ld\n", i, resident_kib());
    }
}

// Eight threads on `handles` sessions get what one thread got before.
void threads(const std::string& bundle, int handles) {
    constexpr int THREADS = 8, ROUNDS = 12;
    std::vector<std::unique_ptr<codi::Session>> sessions;
    for (int i = 0; i < handles; ++i) sessions.push_back(std::make_unique<codi::Session>(bundle));
    std::vector<Pixels> wanted;
    for (int i = 0; i < THREADS; ++i) {
        Pixels from = picture(30 + i, 20, unsigned(i));
        wanted.push_back(enlarged(*sessions[0], from, 30 + i, 20, uint64_t(i)));
    }
    std::atomic<int> wrong{0};
    std::vector<std::thread> team;
    for (int i = 0; i < THREADS; ++i)
        team.emplace_back([&, i] {
            Pixels from = picture(30 + i, 20, unsigned(i));
            for (int round = 0; round < ROUNDS; ++round)
                if (enlarged(*sessions[size_t(i % handles)], from, 30 + i, 20, uint64_t(i)) != wanted[size_t(i)]) ++wrong;
            // Each thread has a last error of its own.
            codi_load(("no such bundle " + std::to_string(i)).c_str(), nullptr, nullptr);
            if (codi_run(nullptr, nullptr, nullptr, nullptr) != CODI_BAD_ARGUMENT || !std::strstr(codi_last_error(), "session")) ++wrong;
        });
    for (std::thread& thread : team) thread.join();
    require(wrong == 0, std::to_string(wrong) + " results differ from those of one thread");
}

// A call that another thread cancels ends early, and so does one that its callback stops; the session goes on.
void cancel(const std::string& bundle, int number) {
    codi::Session session(bundle);
    const int side = session.info().tile_width * 12, scale = session.info().scale;
    Pixels from = picture(side, side, 3), to(from.size() * scale * scale);
    const codi_image small = {from.data(), side, side, 0, CODI_RGB}, large = {to.data(), side * scale, side * scale, 0, CODI_RGB};
    for (int i = 0; i < number; ++i) {
        std::atomic<int> tiles{0};
        codi::RunOptions options;
        options.user = &tiles;
        options.progress = [](void* user, int32_t, int32_t) {
            ++*static_cast<std::atomic<int>*>(user);
            return 0;
        };
        codi_status status = CODI_OK;
        std::thread worker([&] { status = codi_run(session.get(), &small, &large, &options); });
        while (tiles < 1 + i) std::this_thread::yield();
        session.cancel();
        worker.join();
        require(status == CODI_CANCELLED, "a cancelled call answered " + std::to_string(status));
    }
    codi::RunOptions options;
    options.progress = [](void*, int32_t done, int32_t) { return int(done >= 2); };
    require(codi_run(session.get(), &small, &large, &options) == CODI_CANCELLED, "the callback did not stop the call");
    session.cancel();  // nothing runs: nothing is cancelled
    Pixels little = picture(9, 9, 4);
    enlarged(session, little, 9, 9, 0);
}

// Every format and colour fix, and the frame that is read where it lies, `number` times each.
void frames(const std::string& bundle, int number) {
    codi::Session session(bundle);
    const codi_info info = session.info();
    const int scale = info.scale;
    for (int i = 0; i < number; ++i)
        for (const auto& [format, bytes] : {std::pair(CODI_RGB, 3), {CODI_BGR, 3}, {CODI_RGBA, 4}, {CODI_BGRA, 4}})
            for (const codi_color_fix fix : {CODI_FIX_NONE, CODI_FIX_WAVELET, CODI_FIX_ADAIN}) {
                static Pixels from(size_t(info.tile_width) * info.tile_height * 4), to(from.size() * scale * scale);
                codi::RunOptions options;
                options.color_fix = fix;
                session.run({from.data(), info.tile_width, info.tile_height, size_t(bytes * info.tile_width), format},
                            {to.data(), info.tile_width * scale, info.tile_height * scale, size_t(bytes * info.tile_width * scale), format}, options);
            }
}

// A picture of `width` x 2/3 `width` pixels: prints the peak of resident memory before and after, and both pictures' own, in KiB.
void photo(const std::string& bundle, int width) {
    codi::Session session(bundle);
    const int height = width * 2 / 3, scale = session.info().scale;
    Pixels from = picture(width, height, 6), to(from.size() * scale * scale, 1);
    Pixels tile = picture(session.info().tile_width, session.info().tile_height, 7);
    enlarged(session, tile, session.info().tile_width, session.info().tile_height, 0);  // what the runtime takes for itself
    const auto peak = [] {
        rusage usage{};
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_maxrss;
    };
    const long before = peak();
    session.run({from.data(), width, height, 0, CODI_RGB}, {to.data(), width * scale, height * scale, 0, CODI_RGB});
    std::printf("%ld %ld %zu\n", before, peak(), (from.size() + to.size()) / 1024);
}

// What must be refused, each with its status and a word of its message.
void misuse(const std::string& bundle, int) {
    codi::Session session(bundle);
    const codi_info info = session.info();
    const int scale = info.scale, side = info.tile_width;
    Pixels from = picture(side, side, 5), to(from.size() * scale * scale * 2);
    const codi_image small = {from.data(), side, side, 0, CODI_RGB}, large = {to.data(), side * scale, side * scale, 0, CODI_RGB};
    const auto refused = [&](codi_status status, codi_status wanted, const char* word) {
        require(status == wanted, std::string("expected ") + word + ", got status " + std::to_string(status) + ": " + codi_last_error());
        require(std::strstr(codi_last_error(), word), std::string("expected ") + word + ", got: " + codi_last_error());
    };
    const auto run = [&](codi_image input, codi_image output, const codi_run_options* options = nullptr) {
        return codi_run(session.get(), &input, &output, options);
    };
    const auto with = [](codi_image image, const std::function<void(codi_image&)>& change) { return change(image), image; };

    refused(codi_run(nullptr, &small, &large, nullptr), CODI_BAD_ARGUMENT, "session is NULL");
    refused(codi_run(session.get(), nullptr, &large, nullptr), CODI_BAD_ARGUMENT, "input is NULL");
    refused(codi_run(session.get(), &small, nullptr, nullptr), CODI_BAD_ARGUMENT, "output is NULL");
    refused(run(with(small, [](auto& i) { i.data = nullptr; }), large), CODI_BAD_ARGUMENT, "data is NULL");
    refused(run(with(small, [](auto& i) { i.width = 0; }), large), CODI_BAD_ARGUMENT, "0 x");
    refused(run(with(small, [](auto& i) { i.height = -4; }), large), CODI_BAD_ARGUMENT, "-4");
    refused(run(with(small, [](auto& i) { i.width = INT32_MAX; }), large), CODI_BAD_ARGUMENT, "2147483647");
    refused(run(with(small, [](auto& i) { i.pitch = 5; }), large), CODI_BAD_ARGUMENT, "pitch of 5");
    refused(run(with(small, [](auto& i) { i.format = CODI_NV12; }), large), CODI_BAD_ARGUMENT, "NV12");
    refused(run(with(small, [](auto& i) { i.format = CODI_GRAY; }), large), CODI_BAD_ARGUMENT, "format 4");
    refused(run(with(small, [](auto& i) { i.format = codi_format(99); }), large), CODI_BAD_ARGUMENT, "format 99");
    refused(run(small, with(large, [](auto& i) { --i.width; })), CODI_BAD_ARGUMENT, "times the input");

    codi::RunOptions options;
    options.mask = &small;
    refused(run(small, large, &options), CODI_BAD_ARGUMENT, "takes no mask");
    options = {}, options.color_fix = codi_color_fix(7);
    refused(run(small, large, &options), CODI_BAD_ARGUMENT, "color_fix is 7");
    options = {}, options.adapter_scale = 0.5f;
    refused(run(small, large, &options), CODI_BAD_ARGUMENT, "adapter adds is fixed");
    const float embeds[4] = {};
    options = {}, options.prompt_embeds = embeds, options.prompt_embeds_count = 4;
    refused(run(small, large, &options), CODI_BAD_ARGUMENT, "prompt is built in");
    options = {}, options.struct_size = 0;
    refused(run(small, large, &options), CODI_BAD_ARGUMENT, "init function");

    codi_info described{};
    refused(codi_get_info(session.get(), nullptr), CODI_BAD_ARGUMENT, "info is NULL");
    refused(codi_get_info(session.get(), &described), CODI_BAD_ARGUMENT, "init function");
    float noise = 0;
    refused(codi_make_noise(session.get(), 0, &noise, 1), CODI_BAD_ARGUMENT, "1 floats of noise");
    refused(codi_make_noise(session.get(), 0, nullptr, 1), CODI_BAD_ARGUMENT, "noise is NULL");
    const codi_tensor tensor = {"image", from.data(), 1};
    refused(codi_run_tensors(session.get(), nullptr, 0, CODI_HOST), CODI_BAD_ARGUMENT, "tensors is NULL");
    refused(codi_run_tensors(session.get(), &tensor, 1, CODI_HOST), CODI_BAD_ARGUMENT, "expected 3");
    const codi_tensor three[3] = {tensor, tensor, tensor};
    refused(codi_run_tensors(session.get(), three, 3, CODI_HOST), CODI_BAD_ARGUMENT, "'image' has 1 bytes");

    codi_session* none = nullptr;
    refused(codi_load(nullptr, nullptr, &none), CODI_BAD_ARGUMENT, "bundle is NULL");
    refused(codi_load(bundle.c_str(), nullptr, nullptr), CODI_BAD_ARGUMENT, "session is NULL");
    refused(codi_load("no such bundle", nullptr, &none), CODI_MISSING_FILE, "no such bundle");
    codi::Options load;
    load.provider = "cuda";
    refused(codi_load(bundle.c_str(), &load, &none), CODI_BACKEND, "no cuda provider");
    load = {}, load.provider = "tpu";
    refused(codi_load(bundle.c_str(), &load, &none), CODI_UNKNOWN_NAME, "unknown provider 'tpu'");
    load = {}, load.backend = "tpu";
    refused(codi_load(bundle.c_str(), &load, &none), CODI_UNKNOWN_NAME, "unknown backend 'tpu'");
    load = {}, load.task = "srr";
    refused(codi_load(bundle.c_str(), &load, &none), CODI_UNKNOWN_NAME, "unknown task 'srr'");
    load = {}, load.steps = 9;
    refused(codi_load(bundle.c_str(), &load, &none), CODI_BAD_ARGUMENT, "9 steps");
    load = {}, load.stream = &load;
    refused(codi_load(bundle.c_str(), &load, &none), CODI_BAD_ARGUMENT, "no streams");
    require(none == nullptr, "a failed load left a session");

    codi_options_init(nullptr, 8), codi_run_options_init(nullptr, 8), codi_info_init(nullptr, 8);
    codi_free(nullptr), codi_cancel(nullptr);
    require(!std::strcmp(codi_inspect(nullptr), "{}"), "codi_inspect(NULL)");
    require(codi_run(session.get(), &small, &large, nullptr) == CODI_OK, "the session did not survive");
}

}  // namespace

int main(int argc, char** argv) {
    const std::map<std::string, std::function<void(const std::string&, int)>> commands = {
        {"calls", calls}, {"reload", reload}, {"threads", threads}, {"cancel", cancel}, {"frames", frames}, {"photo", photo}, {"misuse", misuse}};
    const auto command = commands.find(argc == 4 ? argv[1] : "");
    if (command == commands.end()) return std::cerr << "usage: survive COMMAND BUNDLE NUMBER\n", 2;
    try {
        command->second(argv[2], std::atoi(argv[3]));
    } catch (const std::exception& error) {
        return std::cerr << error.what() << "\n", 1;
    }
}
