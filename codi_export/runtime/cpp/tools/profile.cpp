// codi-profile BUNDLE: latency on a device without Python. It writes what `codi-export profile --json` writes, schema 1 of
// codi_export/profile/result.py, which explains each field; what this program does not look into is null.
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <codi.hpp>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>
#include <vector>

#include "bundle.h"
#include "failure.h"
#include "safetensors.h"
#include "sha256.h"

namespace {

using Json = nlohmann::ordered_json;
using codi::detail::TensorSpec;
namespace fs = std::filesystem;

constexpr size_t MOST_WARMUP_CALLS = 30, WINDOW = 5;
constexpr double MOST_WARMUP_S = 20, TOLERANCE = 0.03, UNSTEADY = 1.25, CROWDED = 0.3, MIN_PSNR_DB = 40;

const char* const USAGE =
    "usage: codi-profile BUNDLE [--iterations 100] [--runs 5] [--duration SECONDS] [--seed 0]\n"
    "                    [--task NAME] [--steps N] [--backend onnxruntime] [--provider cpu] [--threads N]\n"
    "The JSON goes to stdout; `codi-export profile RESULT.json --html page.html` draws it, and --compare compares two.\n";

struct Settings {
    std::string bundle, task, backend = "onnxruntime", provider = "cpu";
    int iterations = 100, runs = 5, steps = 0, threads = 0;
    uint64_t seed = 0;
    double duration_s = 0;  // 0: no limit
};

Settings parse(int argc, char** argv) {
    Settings settings;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name.rfind("--", 0) != 0 && settings.bundle.empty()) {
            settings.bundle = name;
            continue;
        }
        if (i + 1 == argc) throw std::invalid_argument(name + " needs a value");
        const std::string value = argv[++i];
        if (name == "--iterations") settings.iterations = std::stoi(value);
        else if (name == "--runs") settings.runs = std::stoi(value);
        else if (name == "--duration") settings.duration_s = std::stod(value);
        else if (name == "--seed") settings.seed = std::stoull(value);
        else if (name == "--task") settings.task = value;
        else if (name == "--steps") settings.steps = std::stoi(value);
        else if (name == "--backend") settings.backend = value;
        else if (name == "--provider") settings.provider = value;
        else if (name == "--threads") settings.threads = std::stoi(value);
        else throw std::invalid_argument("unknown option " + name);
    }
    if (settings.bundle.empty()) throw std::invalid_argument("no bundle");
    if (settings.iterations < 1 || settings.runs < 1 || settings.duration_s < 0) throw std::invalid_argument("expected positive numbers");
    return settings;
}

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

template <class Call>
double time_ms(Call call) {
    const double start = now_s();
    call();
    return (now_s() - start) * 1000;
}

Json rounded(double value) {  // six significant digits, as all numbers of the file
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return std::strtod(text, nullptr);
}

Json rounded(const std::vector<double>& values) {
    Json list = Json::array();
    for (double value : values) list.push_back(rounded(value));
    return list;
}

// Percentiles are samples, by nearest rank.
Json latency(std::vector<double> samples) {
    if (samples.empty()) return nullptr;
    std::sort(samples.begin(), samples.end());
    const size_t n = samples.size();
    const auto rank = [&](size_t percent) { return rounded(samples[(percent * n + 99) / 100 - 1]); };
    double sum = 0;
    for (double sample : samples) sum += sample;
    return {{"p50", rank(50)}, {"p90", rank(90)}, {"p95", rank(95)}, {"p99", rank(99)}, {"min", rounded(samples.front())},
            {"max", rounded(samples.back())}, {"mean", rounded(sum / double(n))}, {"n", n}};
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

bool settled(const std::vector<double>& samples) {
    if (samples.size() < 2 * WINDOW) return false;
    const auto end = samples.end();
    const double before = median({end - 2 * WINDOW, end - WINDOW}), last = median({end - WINDOW, end});
    return std::fabs(last - before) <= TOLERANCE * before;
}

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line, '\n');
    return std::string(line.c_str());  // device trees end with a zero byte
}

// The value behind `key` in a file of lines `key : value`.
std::string field(const fs::path& path, const std::string& key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        if (line.rfind(key, 0) == 0 && line.find(':') != std::string::npos) {
            const size_t start = line.find_first_not_of(" \t", line.find(':') + 1);
            return start == std::string::npos ? "" : line.substr(start);
        }
    return "";
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json device(const Settings& settings) {
    utsname system{};
    uname(&system);
    const std::string board = first_line("/proc/device-tree/model"), model = field("/proc/cpuinfo", "model name");
    const bool jetson = board.find("Jetson") != std::string::npos;
    const std::string release = first_line("/etc/nv_tegra_release"), memory = field("/proc/meminfo", "MemTotal");
    return {{"name", !board.empty() ? board : !model.empty() ? model : system.machine},
            {"kind", jetson ? "jetson" : settings.provider == "cpu" && settings.backend == "onnxruntime" ? "cpu" : "nvidia"},
            {"system", jetson && !release.empty() ? release : std::string(system.sysname) + " " + system.release},
            {"cores", std::thread::hardware_concurrency()},
            {"memory_bytes", memory.empty() ? Json(nullptr) : Json(std::stoull(memory) * 1024)},
            {"device_memory_bytes", nullptr},
            {"power_mode", nullptr},
            {"governor", or_null(first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))},
            {"max_clocks_mhz", Json::object()},
            {"sensors", Json::array()},
            {"not_reported", {"clocks", "temperature", "power", "throttling"}}};
}

// The opened bundle, with the inputs of its golden in place, or random ones.
class Subject {
  public:
    explicit Subject(const Settings& settings) : folder_(settings.bundle) {
        std::ifstream file(folder_ / "codi.json", std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        const auto manifest = codi::detail::read_manifest(folder_);
        graph_ = codi::detail::select(manifest, settings.task, settings.steps);
        codi::detail::Sha256 digest;
        digest.update(bytes.data(), bytes.size());
        sha256_ = digest.hex();
        json_ = Json::parse(bytes);
        for (const Json& graph : json_.at("graphs"))
            if (graph.at("name") == graph_.name) described_ = graph;
        for (const TensorSpec& spec : graph_.inputs) inputs_.push_back(input(spec));
        output_.resize(graph_.outputs[0].bytes());
    }

    Json describe() const {
        std::set<std::string> unread;
        for (const Json& graph : json_.at("graphs")) {
            if (graph.at("path") != graph_.path) unread.insert(graph.at("path"));
            if (graph.at("task") != graph_.task) unread.insert("graphs/" + graph.at("task").get<std::string>() + ".safetensors");
        }
        uint64_t bytes = 0;
        for (const Json& entry : json_.at("files")) {
            const std::string path = entry.at("path");
            if (path.rfind("graphs/", 0) == 0 && fs::path(path).extension() != ".json" && !unread.count(path)) bytes += entry.at("bytes").get<uint64_t>();
        }
        Json timesteps = Json::array();
        for (const Json& step : described_.at("schedule").at("steps")) timesteps.push_back(step.at("t"));
        return {{"name", fs::canonical(folder_).filename().string()}, {"sha256", sha256_}, {"graph", graph_.name}, {"task", graph_.task},
                {"steps", graph_.steps}, {"precision", graph_.precision}, {"sampler", described_.at("sampler")}, {"timesteps", timesteps},
                {"inputs", described_.at("inputs")}, {"outputs", described_.at("outputs")}, {"model_bytes", bytes}};
    }

    void end_to_end(codi::Session& session, uint64_t seed) {
        const codi_info info = session.info();
        codi::RunOptions options;
        options.seed = seed;
        codi_image mask{nullptr, info.tile_width, info.tile_height, 0, CODI_GRAY};
        codi_image small{nullptr, info.tile_width, info.tile_height, 0, CODI_RGB}, large = small;
        for (size_t i = 0; i < inputs_.size(); ++i) {
            const std::string& name = graph_.inputs[i].name;
            if (name == "image") small.data = inputs_[i].data();
            if (name == "mask") mask.data = inputs_[i].data(), options.mask = &mask;
            if (name == "adapter_scale") std::memcpy(&options.adapter_scale, inputs_[i].data(), sizeof(float));
            if (name == "prompt_embeds") {
                options.prompt_embeds = reinterpret_cast<const float*>(inputs_[i].data());
                options.prompt_embeds_count = size_t(info.prompt_shape[0]) * size_t(info.prompt_shape[1]);
            }
            if (name == "pooled_prompt_embeds") {
                options.pooled_prompt_embeds = reinterpret_cast<const float*>(inputs_[i].data());
                options.pooled_prompt_embeds_count = size_t(info.pooled_prompt_size);
            }
        }
        large.data = output_.data(), large.width *= info.scale, large.height *= info.scale;
        session.run(small, large, options);
    }

    const std::vector<uint8_t>& engine(codi::Session& session) {
        std::vector<codi_tensor> tensors;
        for (size_t i = 0; i < inputs_.size(); ++i) tensors.push_back({graph_.inputs[i].name.c_str(), inputs_[i].data(), inputs_[i].size()});
        tensors.push_back({graph_.outputs[0].name.c_str(), output_.data(), output_.size()});
        session.run_tensors(tensors.data(), tensors.size());
        return output_;
    }

    // By the rules of `codi-export verify`.
    Json quality(codi::Session& session, const Settings& settings) {
        const bool swapped = [&] {
            for (const Json& entry : json_.at("files"))
                if (entry.at("path") == "graphs/" + graph_.task + ".safetensors")
                    return !described_.value("adapter_sha256", "").empty() && entry.at("sha256") != described_.at("adapter_sha256");
            return false;
        }();
        const Json build = swapped ? Json(nullptr) : described_.at("parity");
        if (graph_.golden.empty() || swapped) return {{"build", build}, {"here", nullptr}, {"detail", "not recorded"}};
        const std::string fault = compare(engine(session), settings.provider == "cpu" && graph_.precision == "fp32");
        const bool alive = fault.empty() && responds(session);
        return {{"build", build}, {"here", alive}, {"detail", !fault.empty() ? fault : alive ? detail_ : "the output does not change with an input"}};
    }

  private:
    std::vector<uint8_t> input(const TensorSpec& spec) const {
        if (!graph_.golden.empty()) return codi::detail::read_tensor(folder_ / graph_.golden, spec.name, spec.dtype == "uint8" ? "U8" : "F32", spec.shape);
        std::vector<uint8_t> bytes(spec.bytes());
        uint32_t state = 1;
        for (size_t i = 0; i < spec.elements(); ++i) {
            state = state * 1664525u + 1013904223u;
            const float value = spec.name == "adapter_scale" ? 1.0f : float(state >> 8) / float(1 << 23) - 1.0f;
            if (spec.dtype == "uint8") bytes[i] = uint8_t(state >> 24);
            else std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
        }
        return bytes;
    }

    // Empty if it is torch's output, as exactly as it must be; then detail_ has the figures.
    std::string compare(const std::vector<uint8_t>& output, bool exact) {
        const auto expected = codi::detail::read_tensor(folder_ / graph_.golden, "output", "U8", graph_.outputs[0].shape);
        int level = 0;
        double squares = 0;
        for (size_t i = 0; i < output.size(); ++i) {
            const int difference = std::abs(int(output[i]) - int(expected[i]));
            level = std::max(level, difference), squares += double(difference) * difference;
        }
        if (std::all_of(output.begin(), output.end(), [&](uint8_t value) { return value == output[0]; })) return "the output is constant";
        const double psnr = level ? 10 * std::log10(255.0 * 255.0 * double(output.size()) / squares) : 0;
        char figures[64];
        std::snprintf(figures, sizeof figures, "at most %d levels from torch, %.1f dB", level, psnr);
        detail_ = level ? figures : "equal to torch's output";
        return level && (exact ? level > 1 : psnr < MIN_PSNR_DB) ? detail_ : "";
    }

    bool responds(codi::Session& session) {
        const std::vector<uint8_t> output = output_;
        for (size_t i = 0; i < inputs_.size(); ++i) {
            const std::vector<uint8_t> kept = inputs_[i];
            // Pixels are inverted; of floats the sign bit is.
            for (size_t k = 0; k < kept.size(); ++k)
                inputs_[i][k] = graph_.inputs[i].dtype == "uint8" ? uint8_t(255 - kept[k]) : uint8_t(k % 4 == 3 ? kept[k] ^ 0x80 : kept[k]);
            const bool same = engine(session) == output;
            inputs_[i] = kept;
            if (same) return false;
        }
        return true;
    }

    fs::path folder_;
    codi::detail::Graph graph_;
    std::string sha256_, detail_;
    Json json_, described_;
    std::vector<std::vector<uint8_t>> inputs_;
    std::vector<uint8_t> output_;
};

struct Run {
    double cold_load_ms = 0, first_ms = 0;
    std::vector<double> warmup, start, whole, engine;
    bool stable = false;
};

codi::Session open(const Settings& settings) {
    codi::Options options;
    options.task = settings.task.empty() ? nullptr : settings.task.c_str();
    options.steps = settings.steps, options.threads = settings.threads;
    options.backend = settings.backend.c_str(), options.provider = settings.provider.c_str();
    return codi::Session(settings.bundle, options);
}

// One opening, its warm-up and its share of the iterations; which of the two is timed first changes each time.
Run measure(Subject& subject, const Settings& settings, int index, double zero, std::unique_ptr<codi::Session>& session) {
    Run run;
    session.reset();
    run.cold_load_ms = time_ms([&] { session = std::make_unique<codi::Session>(open(settings)); });
    const auto whole = [&](uint64_t seed) { return time_ms([&] { subject.end_to_end(*session, seed); }); };
    const auto engine = [&] { return time_ms([&] { subject.engine(*session); }); };
    const double began = now_s();
    run.first_ms = whole(settings.seed);
    while (!run.stable && run.warmup.size() < MOST_WARMUP_CALLS && now_s() - began < MOST_WARMUP_S) {
        run.warmup.push_back(whole(settings.seed));
        engine();
        run.stable = settled(run.warmup);
    }
    const int before = settings.iterations * index / settings.runs, share = settings.iterations * (index + 1) / settings.runs - before;
    const double start = now_s();
    for (int i = 0; i < share; ++i) {
        if (settings.duration_s > 0 && now_s() - start >= settings.duration_s / settings.runs) break;
        run.start.push_back(now_s() - zero);
        const uint64_t seed = settings.seed + uint64_t(before + i);
        if (i % 2 == 0) run.whole.push_back(whole(seed)), run.engine.push_back(engine());
        else run.engine.push_back(engine()), run.whole.push_back(whole(seed));
    }
    std::cerr << "run " << index + 1 << " of " << settings.runs << ": " << run.whole.size() << " iterations\n";
    return run;
}

Json to_json(const std::vector<Run>& runs) {
    Json list = Json::array();
    for (const Run& run : runs)
        list.push_back({{"cold_load_ms", rounded(run.cold_load_ms)}, {"first_ms", rounded(run.first_ms)}, {"warmup_ms", rounded(run.warmup)},
                        {"stable", run.stable}, {"start_s", rounded(run.start)}, {"end_to_end_ms", rounded(run.whole)}, {"engine_ms", rounded(run.engine)}});
    return list;
}

Json marks(const std::vector<Run>& runs, const std::vector<double>& whole, const Json& quality, double load) {
    Json said = Json::array();
    if (quality.at("here") == false) said.push_back("fails parity here: " + quality.at("detail").get<std::string>());
    const auto unstable = std::count_if(runs.begin(), runs.end(), [](const Run& run) { return !run.stable; });
    if (unstable) said.push_back("times had not settled after the warm-up in " + std::to_string(unstable) + " of " + std::to_string(runs.size()) + " runs");
    const unsigned cores = std::thread::hardware_concurrency();
    if (load > CROWDED * cores) said.push_back("other work kept " + std::to_string(load).substr(0, 4) + " of " + std::to_string(cores) + " cores busy when it began");
    const Json times = latency(whole);
    if (whole.size() > 4 && times.at("p95").get<double>() > UNSTEADY * times.at("p50").get<double>()) said.push_back("unsteady: p95 is far above p50");
    said.push_back("clocks, temperature, power and throttling were not watched");
    return said;
}

std::string utc() {
    const std::time_t seconds = std::time(nullptr);
    char text[40];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S+00:00", std::gmtime(&seconds));
    return text;
}

Json environment() {
    Json found = Json::object();
    for (char** entry = environ; *entry; ++entry) {
        const std::string text = *entry;
        for (const char* start : {"OMP_", "ORT_", "CUDA_", "NVIDIA_", "TENSORRT_"})
            if (text.rfind(start, 0) == 0) found[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
    }
    return found;
}

Json profile(const Settings& settings) {
    double load = 0;
    if (getloadavg(&load, 1) != 1) load = 0;
    Subject subject(settings);
    std::unique_ptr<codi::Session> session;
    std::vector<Run> runs;
    std::vector<double> whole, engine;
    const double zero = now_s();
    for (int index = 0; index < settings.runs; ++index) {
        runs.push_back(measure(subject, settings, index, zero, session));
        whole.insert(whole.end(), runs.back().whole.begin(), runs.back().whole.end());
        engine.insert(engine.end(), runs.back().engine.begin(), runs.back().engine.end());
    }
    const Json quality = subject.quality(*session, settings), end_to_end = latency(whole);
    const std::string library = Json::parse(session->inspect()).at("runtime").get<std::string>();
    const size_t space = library.find(' ');
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const bool cpu = settings.provider == "cpu" && settings.backend == "onnxruntime";
    return {{"schema", 1},
            {"date", utc()},
            {"subject", subject.describe()},
            {"runtime",
             {{"tool", std::string("codi-profile ") + codi_version()},
              {"backend", settings.backend},
              {"provider", settings.provider},
              {"threads", settings.threads ? Json(settings.threads) : Json(nullptr)},
              {"versions", {{library.substr(0, space), library.substr(space + 1, library.find(' ', space + 1) - space - 1)}}},
              {"cuda_graph", nullptr},
              {"spin_wait", cpu ? Json(true) : Json(nullptr)},
              {"transfers", cpu ? "none" : "included"},
              {"driver", nullptr},
              {"environment", environment()}}},
            {"device", device(settings)},
            {"settings",
             {{"scenario", "single"}, {"iterations", settings.iterations}, {"duration_s", settings.duration_s > 0 ? Json(settings.duration_s) : Json(nullptr)},
              {"runs", settings.runs}, {"seed", settings.seed}, {"fps", nullptr}, {"batch", 1}}},
            {"quality", quality},
            {"marks", marks(runs, whole, quality, load)},
            {"partial", false},
            {"cold_load_ms", rounded(runs[0].cold_load_ms)},
            {"first_ms", rounded(runs[0].first_ms)},
            {"end_to_end_ms", end_to_end},
            {"engine_ms", latency(engine)},
            {"images_per_s", whole.empty() ? Json(nullptr) : rounded(1000 / end_to_end.at("mean").get<double>())},
            {"histogram", nullptr},
            {"drift", nullptr},
            {"peak_rss_bytes", uint64_t(usage.ru_maxrss) * 1024},
            {"peak_device_bytes", nullptr},
            {"throttled", nullptr},
            {"energy", nullptr},
            {"runs", to_json(runs)},
            {"readings", Json::array()},
            {"breakdown", nullptr},
            {"stream", nullptr},
            {"stages", Json::array()},
            {"nodes", Json::array()}};
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    try {
        settings = parse(argc, argv);
    } catch (const std::exception& error) {
        return std::cerr << error.what() << "\n" << USAGE, 2;
    }
    try {
        std::cout << profile(settings).dump(1) << "\n";
    } catch (const codi::detail::Failure& failure) {
        return std::cerr << failure.text << "\n", 1;
    } catch (const std::exception& error) {
        return std::cerr << error.what() << "\n", 1;
    }
}
