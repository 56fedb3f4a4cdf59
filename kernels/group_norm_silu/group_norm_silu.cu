#include "../common/cuda.h"
#include "../common/pack.h"
#include "check.h"

namespace {

using namespace codi;

constexpr int kThreads = 256, kWarp = 32, kWarps = kThreads / kWarp;
constexpr int kAhead = 4;  // rows in flight

__device__ float warp_sum(float value) {
    for (int mask = kWarp / 2; mask; mask /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, mask);
    return value;
}

// What a block works on: one split of one image, in tiles of channels. A tile has `lanes` packs of kWidth channels, and
// `rows` threads work on each pack, at neighbouring positions.
template <int kWidth>
struct Tile {
    int channels, lanes, rows, lane, row;

    __device__ explicit Tile(int channels) : channels(channels) {
        lanes = min(channels / kWidth, kThreads);
        rows = kThreads / lanes;
        lane = int(threadIdx.x) % lanes;
        row = int(threadIdx.x) / lanes;  // `rows` and above: nothing to do
    }
    __device__ int width() const { return lanes * kWidth; }
    __device__ int channel(int first) const { return first + lane * kWidth; }
    __device__ bool works(int first) const { return row < rows && channel(first) < channels; }
};

// v at one position and the channels of a pack. `shift` is added where it costs nothing.
template <class T, int kWidth>
__device__ void read(const codi_group_norm_silu& a, int pixel, int channel, float (&v)[kWidth]) {
    const int x_channels = int(a.channels - a.second_channels);
    if (channel < x_channels)
        load(static_cast<const T*>(a.x) + int64_t(pixel) * x_channels + channel, v);
    else
        load(static_cast<const T*>(a.second) + int64_t(pixel) * int(a.second_channels) + channel - x_channels, v);
    if (a.residual) {
        float more[kWidth];
        load(static_cast<const T*>(a.residual) + int64_t(pixel) * int(a.channels) + channel, more);
        for (int k = 0; k < kWidth; ++k) v[k] += more[k];
    }
}

template <class T>
__device__ float shift_of(const codi_group_norm_silu& a, int image, int channel) {
    return a.shift ? to_float(static_cast<const T*>(a.shift)[image * int(a.channels) + channel]) : 0.0f;
}

// First launch: [image][group][split] moments.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 2) moments(codi_group_norm_silu a, Splits splits) {
    CODI_SHARED(Moments, kept, kThreads * kWidth);
    const int image = int(blockIdx.x) / splits.count, split = int(blockIdx.x) % splits.count;
    const int channels = int(a.channels), each = channels / int(a.groups), positions = int(a.positions);
    const int size = splits.size(split, positions), begin = image * positions + splits.begin(split);
    const Tile<kWidth> tile(channels);
    Moments* out = static_cast<Moments*>(a.workspace) + image * int(a.groups) * splits.count + split;
    for (int first = 0; first < channels; first += tile.width()) {
        if (tile.works(first) && tile.row < size) {
            Sums sums[kWidth];
            float v[kWidth];
            read<T>(a, begin + tile.row, tile.channel(first), v);
            for (int k = 0; k < kWidth; ++k) sums[k].begin(v[k]);
#pragma unroll 4
            for (int row = tile.row + tile.rows; row < size; row += tile.rows) {
                read<T>(a, begin + row, tile.channel(first), v);
                for (int k = 0; k < kWidth; ++k) sums[k].add(v[k]);
            }
            const int count = (size - tile.row + tile.rows - 1) / tile.rows;
            for (int k = 0; k < kWidth; ++k)
                kept[(tile.row * tile.lanes + tile.lane) * kWidth + k] = sums[k].moments(count);
        }
        __syncthreads();
        // Each channel's rows together, into its first row.
        const int last = min(first + tile.width(), channels);
        for (int channel = first + int(threadIdx.x); channel < last; channel += kThreads) {
            Moments whole = kept[channel - first];
            int count = (size + tile.rows - 1) / tile.rows;
            for (int row = 1; row < min(tile.rows, size); ++row) {
                const int more = (size - row + tile.rows - 1) / tile.rows;
                whole = merge(whole, count, kept[row * tile.width() + channel - first], more);
                count += more;
            }
            whole.mean += shift_of<T>(a, image, channel);
            kept[channel - first] = whole;
        }
        __syncthreads();
        // Each group's channels together, a warp to a group.
        const int warp = int(threadIdx.x) / kWarp, thread = int(threadIdx.x) % kWarp;
        for (int group = first / each + warp; group * each < last; group += kWarps) {
            const int low = max(group * each, first), high = min((group + 1) * each, last);
            float mean = 0, m2 = 0;
            for (int channel = low + thread; channel < high; channel += kWarp) mean += kept[channel - first].mean;
            mean = warp_sum(mean) / float(high - low);
            for (int channel = low + thread; channel < high; channel += kWarp) {
                const Moments here = kept[channel - first];
                const float d = here.mean - mean;
                m2 += here.m2 + d * d * float(size);
            }
            m2 = warp_sum(m2);
            if (thread == 0) {
                Moments& whole = out[group * splits.count];
                const int before = (low - group * each) * size;  // values of this group in earlier tiles
                whole = before ? merge(whole, before, {mean, m2}, (high - low) * size) : Moments{mean, m2};
            }
        }
        __syncthreads();
    }
}

// A group's moments from those of its splits, by a warp.
__device__ Moments merged(const Moments* split, Splits splits, int positions, int each) {
    const int thread = int(threadIdx.x) % kWarp;
    float mean = 0, m2 = 0;
    for (int i = thread; i < splits.count; i += kWarp)
        mean += split[i].mean * (float(splits.size(i, positions)) / float(positions));
    mean = warp_sum(mean);
    for (int i = thread; i < splits.count; i += kWarp) {
        const float d = split[i].mean - mean;
        m2 += split[i].m2 + d * d * float(splits.size(i, positions) * each);
    }
    return {mean, warp_sum(m2)};
}

// Second launch: normalise, scale, activate.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 2) apply(codi_group_norm_silu a, Splits splits) {
    CODI_SHARED(Moments, groups, kThreads * kWidth);  // of a tile: mean, and 1 / deviation in the place of m2
    const int image = int(blockIdx.x) / splits.count, split = int(blockIdx.x) % splits.count;
    const int channels = int(a.channels), each = channels / int(a.groups), positions = int(a.positions);
    const int size = splits.size(split, positions), begin = image * positions + splits.begin(split);
    const Tile<kWidth> tile(channels);
    const Moments* all = static_cast<const Moments*>(a.workspace) + image * int(a.groups) * splits.count;
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    for (int first = 0; first < channels; first += tile.width()) {
        const int last = min(first + tile.width(), channels), group_first = first / each;
        for (int group = group_first + int(threadIdx.x) / kWarp; group * each < last; group += kWarps) {
            const Moments whole = merged(all + group * splits.count, splits, positions, each);
            if (threadIdx.x % kWarp == 0)
                groups[group - group_first] = {whole.mean,
                                               deviation_inverse(whole.m2, int64_t(positions) * each, a.epsilon)};
        }
        __syncthreads();
        if (tile.works(first)) {
            Affine affine[kWidth];
            for (int k = 0; k < kWidth; ++k) {
                const int channel = tile.channel(first) + k;
                const Moments group = groups[channel / each - group_first];
                affine[k].centre = group.mean - shift_of<T>(a, image, channel);
                affine[k].scale = weight ? to_float(weight[channel]) * group.m2 : group.m2;
                affine[k].offset = bias ? to_float(bias[channel]) : 0.0f;
            }
            // Several rows are read before the first is written: `out` may be `x`, so the compiler may not reorder
            // them.
            for (int row = tile.row; row < size; row += kAhead * tile.rows) {
                float v[kAhead][kWidth];
                for (int i = 0; i < kAhead; ++i)
                    if (row + i * tile.rows < size) read<T>(a, begin + row + i * tile.rows, tile.channel(first), v[i]);
                for (int i = 0; i < kAhead; ++i) {
                    if (row + i * tile.rows >= size) break;
                    for (int k = 0; k < kWidth; ++k) v[i][k] = affine[k].apply(v[i][k], a.silu);
                    const int64_t pixel = begin + row + i * tile.rows;
                    store(v[i], static_cast<T*>(a.out) + pixel * channels + tile.channel(first));
                }
            }
        }
        __syncthreads();
    }
}

template <class T, int kWidth>
int run(const codi_group_norm_silu& a, void* stream) {
    const Splits splits = splits_of(a.positions, a.channels);
    const unsigned grid = unsigned(a.batch) * splits.count;
    if (const int status = launch("group_norm_silu", moments<T, kWidth>, grid, kThreads, stream, a, splits))
        return status;
    return launch("group_norm_silu", apply<T, kWidth>, grid, kThreads, stream, a, splits);
}

template <class T>
int run(const codi_group_norm_silu& a, void* stream) {
    constexpr int n = kPack<T>;
    const bool whole = a.channels % n == 0 && a.second_channels % n == 0;
    return whole && aligned(a.x, a.second, a.residual, a.out) ? run<T, n>(a, stream) : run<T, 1>(a, stream);
}

}  // namespace

extern "C" int codi_group_norm_silu_cuda(const codi_group_norm_silu* a, void* stream) {
    Check check{"group_norm_silu"};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    return a->type == CODI_FLOAT32 ? run<float>(*a, stream) : run<float16>(*a, stream);
}
