// Stands in for CUDA: runs a kernel's own source on the CPU, one block at a time, its threads as fibres.
//
// Between two barriers the fibres run in a random order (seeded), so code that only works in one order fails. Shared
// memory is filled with NaN for each block and has guards around it. Loads of 16 bytes must be aligned, as on a GPU.
// A barrier that some threads never reach, or a broken guard, ends the launch with a status.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define CODI_SHARED(type, name, size) \
    type* const name = static_cast<type*>(emulator::shared(__COUNTER__, sizeof(type) * (size)))

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

using std::max;
using std::min;

namespace emulator {

constexpr size_t kStack = 256 * 1024, kGuard = 64;
constexpr unsigned kWarp = 32;

enum class State { ready, at_block_barrier, at_warp_barrier, done };

struct Fibre {
    ucontext_t first;
    jmp_buf here;
    bool begun = false;
    State state = State::ready;
    dim3 thread;
    unsigned rank = 0;  // within the block
    std::vector<char> stack = std::vector<char>(kStack);
};

struct Block {
    std::vector<std::unique_ptr<Fibre>> fibres;
    Fibre* now = nullptr;
    ucontext_t scheduler_context;
    jmp_buf scheduler;
    dim3 block_index, block_size, grid_size;
    std::function<void()> body;
    std::map<int, std::vector<char>> shared;
    std::vector<double> exchange;  // a slot for each thread's shuffled value
    const char* fault = nullptr;
};

inline Block block;
inline std::mt19937 order{1};

// Fibres are entered with contexts and then switched with jumps, which cost no system call. Sanitisers follow contexts
// only.
#if defined(__SANITIZE_ADDRESS__)
inline void enter(Fibre& f) { swapcontext(&block.scheduler_context, &f.first); }
inline void leave(Fibre& f) { swapcontext(&f.first, &block.scheduler_context); }
#else
inline void enter(Fibre& f) {
    if (_setjmp(block.scheduler)) return;
    if (f.begun) _longjmp(f.here, 1);
    f.begun = true;
    setcontext(&f.first);
}
inline void leave(Fibre& f) {
    if (!_setjmp(f.here)) _longjmp(block.scheduler, 1);
}
#endif

inline void run_body() {
    block.body();
    block.now->state = State::done;
    leave(*block.now);
}

inline void wait(State barrier) {
    block.now->state = barrier;
    leave(*block.now);
}

// Whoever waits at a barrier that all of [begin, end) have reached may go on.
inline void release(size_t begin, size_t end, State barrier) {
    const auto first = block.fibres.begin() + begin, last = block.fibres.begin() + std::min(end, block.fibres.size());
    if (std::all_of(first, last, [&](auto& f) { return f->state == barrier; }))
        std::for_each(first, last, [](auto& f) { f->state = State::ready; });
}

inline void* shared(int id, size_t bytes) {
    auto& memory = block.shared[id];
    if (memory.empty()) {
        memory.assign(bytes + 2 * kGuard, '\xA5');
        memset(memory.data() + kGuard, 0xFF, bytes);  // NaN in every floating type
    }
    return memory.data() + kGuard;
}

inline bool guards_hold() {
    const auto whole = [](const char* guard) {
        return std::all_of(guard, guard + kGuard, [](char c) { return c == '\xA5'; });
    };
    return std::all_of(block.shared.begin(), block.shared.end(), [&](auto& entry) {
        return whole(entry.second.data()) && whole(entry.second.data() + entry.second.size() - kGuard);
    });
}

inline void run_block() {
    block.shared.clear();
    block.exchange.assign(block.fibres.size(), NAN);
    for (auto& f : block.fibres) {
        f->begun = false;
        f->state = State::ready;
        getcontext(&f->first);
        f->first.uc_stack.ss_sp = f->stack.data();
        f->first.uc_stack.ss_size = f->stack.size();
        f->first.uc_link = nullptr;
        makecontext(&f->first, run_body, 0);
    }
    const size_t warps = (block.fibres.size() + kWarp - 1) / kWarp;
    uint64_t held = ~uint64_t(0);  // warps that stand still until the others can go no further
    std::vector<Fibre*> ready;
    for (;;) {
        ready.clear();
        for (auto& f : block.fibres)
            if (f->state == State::ready) ready.push_back(f.get());
        if (ready.empty()) {
            release(0, block.fibres.size(), State::at_block_barrier);
            const auto has = [](State s) { return [s](auto& f) { return f->state == s; }; };
            if (std::all_of(block.fibres.begin(), block.fibres.end(), has(State::done))) break;
            if (std::none_of(block.fibres.begin(), block.fibres.end(), has(State::ready))) {
                block.fault = "a barrier that some threads never reach";
                return;
            }
            continue;
        }
        std::shuffle(ready.begin(), ready.end(), order);
        const auto stands = [&](Fibre* f) { return warps > 1 && held >> f->rank / kWarp % 64 & 1; };
        if (std::all_of(ready.begin(), ready.end(), stands)) held = uint64_t(order()) << 32 | order();
        for (Fibre* f : ready) {
            if (stands(f)) continue;
            const size_t warp = f->rank / kWarp;
            block.now = f, enter(*f);
            if (f->state == State::at_warp_barrier) release(warp * kWarp, (warp + 1) * kWarp, State::at_warp_barrier);
        }
    }
    if (!guards_hold()) block.fault = "shared memory was written out of its bounds";
}

template <class Value>
Value shuffle_xor(Value value, unsigned mask) {
    const unsigned rank = block.now->rank;
    static_assert(sizeof(Value) <= sizeof(double));
    memcpy(&block.exchange[rank], &value, sizeof value);
    wait(State::at_warp_barrier);
    memcpy(&value, &block.exchange[rank ^ mask], sizeof value);
    wait(State::at_warp_barrier);
    return value;
}

}  // namespace emulator

#define threadIdx (emulator::block.now->thread)
#define blockIdx (emulator::block.block_index)
#define blockDim (emulator::block.block_size)
#define gridDim (emulator::block.grid_size)

inline void __syncthreads() { emulator::wait(emulator::State::at_block_barrier); }
template <class Value>
Value __shfl_xor_sync(unsigned, Value value, int mask) {
    return emulator::shuffle_xor(value, unsigned(mask));
}

namespace emulator {

// Runs every block, in a random order. Answers with what went wrong, or null.
template <class... Parameters, class... Arguments>
const char* launch(void (*kernel)(Parameters...), dim3 grid, dim3 size, const Arguments&... arguments) {
    block.fault = nullptr;
    block.body = [&] { kernel(arguments...); };
    block.block_size = size, block.grid_size = grid;
    const unsigned threads = size.x * size.y * size.z;
    while (block.fibres.size() < threads) block.fibres.push_back(std::make_unique<Fibre>());
    block.fibres.resize(threads);
    for (unsigned i = 0; i < threads; ++i) {
        block.fibres[i]->rank = i;
        block.fibres[i]->thread = dim3(i % size.x, i / size.x % size.y, i / size.x / size.y);
    }
    std::vector<unsigned> blocks(size_t(grid.x) * grid.y * grid.z);
    std::iota(blocks.begin(), blocks.end(), 0u);
    std::shuffle(blocks.begin(), blocks.end(), order);
    for (unsigned i : blocks) {
        block.block_index = dim3(i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y);
        run_block();
        if (block.fault) break;
    }
    return block.fault;
}

}  // namespace emulator
