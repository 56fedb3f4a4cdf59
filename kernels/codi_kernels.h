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

#ifdef __cplusplus
}
#endif

#endif
