#include "../common/real.h"
#include "check.h"

namespace {

using namespace codi;

constexpr int kTile = 512;  // channels at a time: what is kept of them stays in the first-level cache

// v at one position, channels [first, first + n), as float32.
template <class T>
void read(const codi_group_norm_silu& a, int64_t pixel, int first, int n, float* __restrict v) {
    const int x_channels = int(a.channels - a.second_channels);
    const T* x = static_cast<const T*>(a.x) + pixel * x_channels;
    const int from_x = std::min(std::max(x_channels - first, 0), n);
    for (int c = 0; c < from_x; ++c) v[c] = to_float(x[first + c]);
    if (a.second) {
        const T* second = static_cast<const T*>(a.second) + pixel * a.second_channels;
        for (int c = from_x; c < n; ++c) v[c] = to_float(second[first + c - x_channels]);
    }
    if (a.shift) {
        const T* shift = static_cast<const T*>(a.shift) + pixel / a.positions * a.channels + first;
        for (int c = 0; c < n; ++c) v[c] += to_float(shift[c]);
    }
    if (a.residual) {
        const T* residual = static_cast<const T*>(a.residual) + pixel * a.channels + first;
        for (int c = 0; c < n; ++c) v[c] += to_float(residual[c]);
    }
}

// Moments of the channels [first, first + n) over `rows` positions.
template <class T>
void channel_moments(const codi_group_norm_silu& a, int64_t pixel, int rows, int first, int n, Moments* moments) {
    float v[kTile], pivot[kTile], distance[kTile] = {}, square[kTile] = {};
    read<T>(a, pixel, first, n, pivot);
    for (int row = 1; row < rows; ++row) {
        read<T>(a, pixel + row, first, n, v);
        for (int c = 0; c < n; ++c) {
            const float d = v[c] - pivot[c];
            distance[c] += d;
            square[c] += d * d;
        }
    }
    for (int c = 0; c < n; ++c) moments[c] = Sums{pivot[c], distance[c], square[c]}.moments(rows);
}

// Of channels that each have `rows` values.
Moments together(const Moments* channel, int n, int rows) {
    float mean = 0, m2 = 0;
    for (int c = 0; c < n; ++c) mean += channel[c].mean;
    mean /= float(n);
    for (int c = 0; c < n; ++c) {
        const float d = channel[c].mean - mean;
        m2 += channel[c].m2 + d * d * float(rows);
    }
    return {mean, m2};
}

// One split of one image: [groups] moments, `stride` apart.
template <class T>
void split_moments(const codi_group_norm_silu& a, int64_t pixel, int rows, Moments* out, int stride) {
    const int channels = int(a.channels), each = channels / int(a.groups);
    Moments channel[kTile];
    for (int first = 0; first < channels; first += kTile) {
        const int n = std::min(kTile, channels - first);
        channel_moments<T>(a, pixel, rows, first, n, channel);
        for (int group = first / each; group * each < first + n; ++group) {
            const int begin = std::max(group * each, first), end = std::min((group + 1) * each, first + n);
            const Moments here = together(channel + begin - first, end - begin, rows);
            Moments& whole = out[int64_t(group) * stride];
            const int before = (begin - group * each) * rows;  // values of this group in earlier tiles
            whole = before ? merge(whole, before, here, (end - begin) * rows) : here;
        }
    }
}

Moments image_moments(const Moments* split, Splits splits, int positions, int each) {
    Moments whole = split[0];
    for (int i = 1; i < splits.count; ++i)
        whole = merge(whole, splits.begin(i) * each, split[i], splits.size(i, positions) * each);
    return whole;
}

// One split of one image. `group` has the image's groups, `stride` apart: the mean, and 1 / deviation in the place of
// m2.
template <class T>
void apply(const codi_group_norm_silu& a, int64_t pixel, int rows, const Moments* group, int stride) {
    const int channels = int(a.channels), each = channels / int(a.groups);
    const T *weight = static_cast<const T*>(a.weight), *bias = static_cast<const T*>(a.bias);
    float v[kTile], centre[kTile], scale[kTile], offset[kTile];
    for (int first = 0; first < channels; first += kTile) {
        const int n = std::min(kTile, channels - first);
        int index = first / each, next = each - first % each;  // channels until the next group: a division each is slow
        for (int c = 0; c < n; ++c) {
            if ((next -= 1) < 0) ++index, next = each - 1;
            const Moments here = group[int64_t(index) * stride];
            centre[c] = here.mean;
            scale[c] = weight ? to_float(weight[first + c]) * here.m2 : here.m2;
            offset[c] = bias ? to_float(bias[first + c]) : 0;
        }
        T* out = static_cast<T*>(a.out) + pixel * channels + first;
        for (int row = 0; row < rows; ++row, out += channels) {
            read<T>(a, pixel + row, first, n, v);
            if (a.silu)
                for (int c = 0; c < n; ++c) out[c] = to<T>(Affine{centre[c], scale[c], offset[c]}.apply(v[c], true));
            else
                for (int c = 0; c < n; ++c) out[c] = to<T>(Affine{centre[c], scale[c], offset[c]}.apply(v[c], false));
        }
    }
}

template <class T>
void run(const codi_group_norm_silu& a) {
    const Splits splits = splits_of(a.positions, a.channels);
    const int positions = int(a.positions), pieces = int(a.batch) * splits.count, each = int(a.channels / a.groups);
    Moments* moments = static_cast<Moments*>(a.workspace);
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int piece = 0; piece < pieces; ++piece) {
            const int image = piece / splits.count, split = piece % splits.count;
            split_moments<T>(a, image * a.positions + splits.begin(split), splits.size(split, positions),
                             moments + image * a.groups * splits.count + split, splits.count);
        }
        // Each group's own, in the place of its first split.
#pragma omp for schedule(static)
        for (int64_t group = 0; group < a.batch * a.groups; ++group) {
            Moments& first = moments[group * splits.count];
            const Moments whole = image_moments(&first, splits, positions, each);
            first = {whole.mean, deviation_inverse(whole.m2, int64_t(positions) * each, a.epsilon)};
        }
#pragma omp for schedule(static)
        for (int piece = 0; piece < pieces; ++piece) {
            const int image = piece / splits.count, split = piece % splits.count;
            apply<T>(a, image * a.positions + splits.begin(split), splits.size(split, positions),
                     moments + image * a.groups * splits.count, splits.count);
        }
    }
}

}  // namespace

extern "C" int64_t codi_group_norm_silu_workspace(const codi_group_norm_silu* a) {
    Check check{"group_norm_silu"};
    checked_sizes(a, check);
    return check.status ? -1 : workspace_bytes(*a);
}

extern "C" int codi_group_norm_silu_host(const codi_group_norm_silu* a) {
    Check check{"group_norm_silu"};
    const int64_t n = checked(a, check);
    if (check.status || n == 0) return check.status;
    a->type == CODI_FLOAT32 ? run<float>(*a) : run<float16>(*a);
    return CODI_KERNELS_OK;
}
