/* The C interface of the kernels. Every operation is a record of arguments and two functions:
 *
 *     int codi_<op>_host(const struct codi_<op>*)                 on the CPU; OMP_NUM_THREADS says how many threads
 *     int codi_<op>_cuda(const struct codi_<op>*, void* stream)   queued on a cudaStream_t of the current device
 *
 * Pointers are those of the side that is called, and every tensor is dense in the order of its shape. `bytes` is the
 * size of the record, so that a caller compiled against another version is refused. A call answers 0, or a status below
 * with codi_kernels_message() in the same thread; then nothing was written. Calls from several threads are independent.
 * A tensor holds at most 2^31 - 1 elements. Any alignment that fits the type will do; 16 bytes is the fast one.
 */
#ifndef CODI_KERNELS_H
#define CODI_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum codi_kernels_status {
    CODI_KERNELS_OK = 0,
    CODI_KERNELS_VERSION = 1,   /* `bytes` is not the size of the record */
    CODI_KERNELS_NULL = 2,      /* a tensor is missing */
    CODI_KERNELS_SIZE = 3,      /* a size is negative, or a product too large */
    CODI_KERNELS_TYPE = 4,      /* a type is none of those below */
    CODI_KERNELS_ALIGNMENT = 5, /* a pointer is no multiple of its element's size */
    CODI_KERNELS_OVERLAP = 6,   /* an output overlaps another tensor, and not as the record allows */
    CODI_KERNELS_WORKSPACE = 7, /* the workspace is too small */
    CODI_KERNELS_VALUE = 8,     /* a constant is out of range */
    CODI_KERNELS_DEVICE = 9     /* CUDA refused the launch */
};

enum codi_kernels_type { CODI_FLOAT32 = 0, CODI_FLOAT16 = 1 };

/* What was wrong with this thread's last call that failed. */
const char* codi_kernels_message(void);

/* Standard normal noise, out [batch, channels, height, width]: a function of seed and place (noise/noise.h). Image b
 * has index image + b; (y, x) is the window's place in an unbounded latent plane. All three wrap at 2^32. */
struct codi_noise {
    int64_t bytes;
    uint64_t seed;
    uint32_t image, y, x;
    int32_t type;
    int64_t batch, channels, height, width;
    void* out;
};
int codi_noise_host(const struct codi_noise*);
int codi_noise_cuda(const struct codi_noise*, void* stream);

/* GroupNorm and, if `silu`, SiLU, channels last: out = silu(norm(v) weight + bias), v = [x ; second] + shift +
 * residual.
 *
 *     x [batch, positions, channels - second_channels]    second [batch, positions, second_channels]
 *     shift [batch, channels]    residual, out [batch, positions, channels]    weight, bias [channels]
 *
 * x and out must be there; the others may be null, and then stand for nothing added, weight 1 and bias 0. `second` is a
 * second source read in place of a concatenation. out may be x (without second) or residual. A NaN or an infinity
 * spoils its own group and no other. The workspace is at least codi_group_norm_silu_workspace() bytes, a multiple of 8.
 */
struct codi_group_norm_silu {
    int64_t bytes;
    int64_t batch, positions, channels, groups, second_channels;
    float epsilon;
    int32_t silu, type;
    const void *x, *second, *shift, *residual, *weight, *bias;
    void *out, *workspace;
    int64_t workspace_bytes;
};
int codi_group_norm_silu_host(const struct codi_group_norm_silu*);
int codi_group_norm_silu_cuda(const struct codi_group_norm_silu*, void* stream);
/* In bytes; -1 if the record would be refused for its sizes. Pointers are not looked at. */
int64_t codi_group_norm_silu_workspace(const struct codi_group_norm_silu*);

/* GEGLU: x [rows, 2 columns] -> out [rows, columns] = value gelu(gate), where value is the first half of a row and gate
 * the second, after bias [2 columns] is added (if not null). gelu is the exact one. out overlaps nothing. */
struct codi_geglu {
    int64_t bytes;
    int64_t rows, columns;
    int32_t type;
    const void *x, *bias;
    void* out;
};
int codi_geglu_host(const struct codi_geglu*);
int codi_geglu_cuda(const struct codi_geglu*, void* stream);

#ifdef __cplusplus
}
#endif

#endif
