// CUDA C++ for kernels that are compiled twice: by nvcc for a GPU, and by the C++ compiler against the emulator (emu/),
// where every CUDA thread is a fiber. A kernel file includes this instead of CUDA's headers, declares shared memory
// with SIMT_SHARED or SIMT_DYNAMIC_SHARED, and is started by `launch`.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <mma.h>

#define SIMT_EMULATED 0
#define SIMT_UNROLL _Pragma("unroll")
#define SIMT_NO_UNROLL _Pragma("unroll 1")
// A block's shared array: SIMT_SHARED(float, tile, [32][33]);
#define SIMT_SHARED(T, name, dims) __shared__ __align__(16) T name dims
// The bytes that `launch` was asked for, aligned to 128: SIMT_DYNAMIC_SHARED(float, tiles);
#define SIMT_DYNAMIC_SHARED(T, name)                                    \
  extern __shared__ __align__(128) unsigned char simt_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(simt_dynamic_shared)

#else

#include "tensor/kernels/cuda/emu/emu.h"

#endif

// Functions that kernels and host code both call; philox.h has it for those who come without this file.
#ifndef GRADUS_DEVICE
#define GRADUS_DEVICE __host__ __device__
#endif

#include "tensor/kernels/cuda/simt_ptx.h"

namespace gradus::cuda {

using bf16 = __nv_bfloat16;

// The stream that all work goes to, in order.
cudaStream_t stream();
// Throws Error unless the last launch was accepted; `kernel` is named in it.
void check_launch(const void* kernel, dim3 grid, dim3 block, size_t shared_bytes);

// Starts a kernel. An empty grid is no launch. More than 48 KiB of dynamic shared memory is asked for by itself.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#if SIMT_EMULATED
  emu::launch(kernel, grid, block, shared_bytes, stream(), static_cast<Parameters>(arguments)...);
#else
  if (shared_bytes > 48 * 1024)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
  kernel<<<grid, block, shared_bytes, stream()>>>(static_cast<Parameters>(arguments)...);
#endif
  check_launch(reinterpret_cast<const void*>(kernel), grid, block, shared_bytes);
}

}  // namespace gradus::cuda
