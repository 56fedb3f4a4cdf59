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

#define CODI_API __attribute__((visibility("default")))

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
CODI_API const char* codi_kernels_message(void);

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
CODI_API int codi_noise_host(const struct codi_noise*);
CODI_API int codi_noise_cuda(const struct codi_noise*, void* stream);

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
CODI_API int codi_group_norm_silu_host(const struct codi_group_norm_silu*);
CODI_API int codi_group_norm_silu_cuda(const struct codi_group_norm_silu*, void* stream);
/* In bytes; -1 if the record would be refused for its sizes. Pointers are not looked at. */
CODI_API int64_t codi_group_norm_silu_workspace(const struct codi_group_norm_silu*);

/* GEGLU: x [rows, 2 columns] -> out [rows, columns] = value gelu(gate), where value is the first half of a row and gate
 * the second, after bias [2 columns] is added (if not null). gelu is the exact one. out overlaps nothing. */
struct codi_geglu {
    int64_t bytes;
    int64_t rows, columns;
    int32_t type;
    const void *x, *bias;
    void* out;
};
CODI_API int codi_geglu_host(const struct codi_geglu*);
CODI_API int codi_geglu_cuda(const struct codi_geglu*, void* stream);

enum codi_prediction { CODI_EPSILON = 0, CODI_V_PREDICTION = 1, CODI_SAMPLE = 2 };

/* One sampler update, element by element: the clean estimate x from a prediction at z = alpha x + sigma eps, and
 *
 *     next = mix_x x + mix_z z + mix_noise noise
 *
 * DDIM has mix_noise 0; PREv has mix_z 0, and `noise` is what the run began with. noise may be null if mix_noise is 0.
 * next and estimate (the x of this step) are written where they are not null; one of them must be there. Each may be
 * prediction, z or noise itself; they are apart from each other. All tensors have `elements` elements. */
struct codi_sampler_step {
    int64_t bytes;
    int64_t elements;
    double alpha, sigma, mix_x, mix_z, mix_noise;
    int32_t prediction_type, type;
    const void *prediction, *z, *noise;
    void *next, *estimate;
};
CODI_API int codi_sampler_step_host(const struct codi_sampler_step*);
CODI_API int codi_sampler_step_cuda(const struct codi_sampler_step*, void* stream);

enum codi_layout { CODI_NCHW = 0, CODI_NHWC = 1 };

/* A picture, uint8 [batch, height, width, channels], as a tensor: out = gain v / 255 + offset in `layout`, at
 * out_height and out_width, which are at least height and width. Larger ones are reached by bicubic interpolation,
 * Pillow's: a = -0.5, centres at half pixels, weights at the edges renormalised. out overlaps nothing. */
struct codi_image_to_tensor {
    int64_t bytes;
    int64_t batch, height, width, channels, out_height, out_width;
    float gain, offset;
    int32_t layout, type;
    const void* image;
    void* out;
};
CODI_API int codi_image_to_tensor_host(const struct codi_image_to_tensor*);
CODI_API int codi_image_to_tensor_cuda(const struct codi_image_to_tensor*, void* stream);

/* The way back: tensor in `layout`, [-1, 1] -> uint8 image [batch, height, width, channels], floor(127.5 (v + 1) +
 * 0.5), limited to 0..255; NaN becomes 0. image overlaps nothing. */
struct codi_tensor_to_image {
    int64_t bytes;
    int64_t batch, height, width, channels;
    int32_t layout, type;
    const void* tensor;
    void* image;
};
CODI_API int codi_tensor_to_image_host(const struct codi_tensor_to_image*);
CODI_API int codi_tensor_to_image_cuda(const struct codi_tensor_to_image*, void* stream);

#ifdef __cplusplus
}
#endif

#endif
