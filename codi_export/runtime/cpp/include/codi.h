/* codi.h: run a codi-export bundle from C, C++, or anything that can call C. This header is the manual.

   Threads   Any function may be called from any thread at any time, also on one session: such calls run side by side,
             each with buffers of its own. Two exceptions: codi_free is the last call on its session, made when no
             other is running; codi_last_error is about the calling thread.
   Errors    Functions that can fail return a codi_status. codi_last_error() then says which value, what was expected
             and what to do. A call that failed leaves the session as it was; its output is undefined.
   Memory    The caller owns every buffer that it passes, and no call keeps one. What a session needs to run it keeps,
             so a second frame of the same size allocates nothing here (the inference runtime may). Strings that are
             returned belong to the library. Options and info begin with their size, set by their init function, so that
             later versions can add fields; NULL in place of options means the defaults.
   Example   #include <codi.h>
             codi_session *session;
             if (codi_load("sr-2step", NULL, &session)) { puts(codi_last_error()); return 1; }
             codi_image small = {pixels, 640, 360, 0, CODI_RGB}, large = {result, 2560, 1440, 0, CODI_RGB};
             if (codi_run(session, &small, &large, NULL)) puts(codi_last_error());
             codi_free(session);
*/
#ifndef CODI_H
#define CODI_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
#define CODI_API __attribute__((visibility("default")))
#define CODI_ABI_VERSION 1 /* grows when a program must be compiled again */

typedef enum {
    CODI_OK = 0,
    CODI_BAD_ARGUMENT,    /* a null pointer, a size or format that does not fit */
    CODI_UNKNOWN_NAME,    /* a task, provider or backend that this bundle or machine does not have */
    CODI_MISSING_FILE,    /* no bundle at that path */
    CODI_MISSING_LIBRARY, /* no ONNX Runtime was found, or this build has no TensorRT */
    CODI_BAD_BUNDLE,      /* damaged, unfinished, or not a bundle */
    CODI_HASH_MISMATCH,   /* a file is not the one that was built */
    CODI_NEWER_SCHEMA,    /* made by a later codi-export */
    CODI_NO_ENGINE,       /* the bundle has no TensorRT engine for this device: codi-export finalize makes one */
    CODI_BACKEND,         /* the inference runtime failed */
    CODI_OUT_OF_MEMORY,
    CODI_CANCELLED,       /* codi_cancel, or the progress callback, stopped it */
    CODI_BUG              /* please report */
} codi_status;

typedef enum { /* 8 bits a channel, interleaved */
    CODI_RGB, CODI_BGR, CODI_RGBA, CODI_BGRA,
    CODI_GRAY, /* masks: 255 = fill */
    CODI_NV12  /* refused: how its colours become RGB is for the camera's driver to say */
} codi_format;

typedef enum { CODI_FIX_NONE, CODI_FIX_WAVELET, CODI_FIX_ADAIN } codi_color_fix; /* keep the colours of a small photo */
typedef enum { CODI_CHECK_HASH, CODI_CHECK_SIZE } codi_check; /* of each file at load: SHA-256, or size and layout only */
typedef enum { CODI_HOST, CODI_DEVICE } codi_memory;          /* where tensors lie; the CPU provider's device is the host */

typedef struct { /* rows are `pitch` bytes apart; 0 means without gaps */
    void *data;
    int32_t width, height;
    size_t pitch;
    int32_t format; /* codi_format */
} codi_image;

typedef struct {
    size_t struct_size;
    const char *task;     /* NULL: the bundle's only one */
    int32_t steps;        /* 0: the first built */
    const char *backend;  /* "onnxruntime" (default) or "tensorrt": an engine of this bundle made for this device */
    const char *provider; /* of ONNX Runtime: "cpu" (default), "cuda", "tensorrt"; never another than this */
    const char *library;  /* ONNX Runtime's file or folder; NULL: $CODI_ONNXRUNTIME, beside libcodi, the system's */
    int32_t threads;      /* 0: the runtime's choice */
    int32_t device;       /* which GPU */
    int32_t check;        /* codi_check */
    void *stream;         /* a cudaStream_t that everything is queued on; NULL: one of the session's own */
    size_t max_memory;    /* bytes that a call's buffers, and the CUDA provider's arena, may each take; 0: no limit */
} codi_options;

typedef struct {
    size_t struct_size;
    uint64_t seed;              /* the same seed gives the same bytes; over a video it keeps the noise still */
    int32_t color_fix;          /* codi_color_fix */
    const codi_image *mask;     /* CODI_GRAY, as large as the input, for tasks that fill */
    const float *prompt_embeds; /* [T, D], for bundles that read a prompt */
    size_t prompt_embeds_count; /* T * D */
    float adapter_scale;        /* 1; for bundles that take it */
    int (*progress)(void *user, int32_t done, int32_t total); /* after each batch of tiles; other than 0 stops */
    void *user;
    const float *pooled_prompt_embeds; /* [P], beside prompt_embeds, for bundles of SDXL that read a prompt */
    size_t pooled_prompt_embeds_count; /* P */
} codi_run_options;

typedef struct { /* the graph's own sizes; pictures of any size are cut into tiles of tile_width x tile_height */
    size_t struct_size;
    int32_t tile_width, tile_height, batch, scale, steps;
    int32_t noise_shape[4];     /* [B, C, h, w] */
    int32_t prompt_shape[2];    /* [T, D]; 0 if the prompt is built in */
    int32_t takes_mask, takes_adapter_scale;
    int32_t pooled_prompt_size; /* P; 0 if there is none to give */
} codi_info;

typedef struct { /* packed, in the type and shape that codi_inspect names */
    const char *name;
    void *data;
    size_t bytes;
} codi_tensor;

typedef struct codi_session codi_session;

CODI_API int32_t codi_abi_version(void);     /* CODI_ABI_VERSION of the library */
CODI_API const char *codi_version(void);
/* Defaults. The size is the caller's sizeof: a program and a library of another version fill in what both know. */
CODI_API void codi_options_init(codi_options *options, size_t struct_size);
CODI_API void codi_run_options_init(codi_run_options *options, size_t struct_size);
CODI_API void codi_info_init(codi_info *info, size_t struct_size);

/* Open one graph of a bundle. */
CODI_API codi_status codi_load(const char *bundle, const codi_options *options, codi_session **session);

/* A picture of any size to one `scale` times as wide and high, into `output`, which must not overlap the input. Alpha,
   where both have it, is enlarged bicubically; an output alone gets 255. A packed RGB frame of the size of one tile, in
   a bundle of batch 1, is read and written where it lies. */
CODI_API codi_status codi_run(codi_session *session, const codi_image *input, const codi_image *output,
                              const codi_run_options *options);

/* One call of the graph itself: every input by name (image, noise, ...) and its output. With CODI_DEVICE the pointers
   are the device's and the call returns once the work is queued on the stream; it cannot be cancelled. */
CODI_API codi_status codi_run_tensors(codi_session *session, const codi_tensor *tensors, size_t count,
                                      int32_t memory); /* codi_memory */

/* Standard normal noise for codi_run_tensors: `count` = B C h w floats. Image 0 is what codi_run gives its first tile. */
CODI_API codi_status codi_make_noise(const codi_session *session, uint64_t seed, float *noise, size_t count);

CODI_API codi_status codi_get_info(const codi_session *session, codi_info *info);
CODI_API const char *codi_inspect(const codi_session *session); /* JSON: graph, runtime, provider, how it was checked */
CODI_API void codi_cancel(codi_session *session); /* calls in progress end with CODI_CANCELLED; later ones run */
CODI_API const char *codi_last_error(void);       /* of this thread; "" before the first error */
CODI_API void codi_free(codi_session *session);   /* NULL is allowed */
#ifdef __cplusplus
}
#endif
#endif
