// Launching. The tests compile the kernels for the CPU with CODI_EMULATOR, the header that stands in for CUDA there.
#pragma once

#include <utility>

#include "check.h"

#ifdef CODI_EMULATOR
#include CODI_EMULATOR
#else
#include <cuda_runtime.h>
#define CODI_SHARED(type, name, size) __shared__ type name[size]
#endif

namespace codi {

inline unsigned blocks(int64_t items, int64_t per_block) { return unsigned((items + per_block - 1) / per_block); }

// Queues kernel<<<grid, block, 0, stream>>>(arguments...) and answers with a status. The error is this launch's own: an
// older one that nobody has read yet is left for its reader.
template <class... Parameters, class... Arguments>
int launch(const char* op, void (*kernel)(Parameters...), dim3 grid, dim3 block, void* stream,
           const Arguments&... arguments) {
#ifdef CODI_EMULATOR
    (void)stream;
    const char* fault = emulator::launch(kernel, grid, block, arguments...);
#else
    const auto queue = [&](Parameters... parameters) {
        void* pointers[] = {&parameters...};
        return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block, pointers, 0, cudaStream_t(stream));
    };
    const cudaError_t error = queue(arguments...);
    const char* fault = error == cudaSuccess ? nullptr : cudaGetErrorString(error);
#endif
    return fault ? fail(CODI_KERNELS_DEVICE, "%s: %s", op, fault) : CODI_KERNELS_OK;
}

}  // namespace codi
