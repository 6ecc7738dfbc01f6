// CUDA C++ as ordinary C++: what a kernel file sees when there is no nvcc. Every CUDA thread runs as a fiber on a
// thread of the host; a launch is over when it returns. Barriers, warp operations and asynchronous copies do what CUDA
// promises and no more: nothing holds the threads of a warp together between them. What a kernel does wrong is
// reported, not followed: take_report() (scheduler.h) says what, where and by which thread.
#pragma once

#include <tuple>
#include <type_traits>

#include "tensor/kernels/cuda/emu/api.h"
#include "tensor/kernels/cuda/emu/atomics.h"
#include "tensor/kernels/cuda/emu/device.h"
#include "tensor/kernels/cuda/emu/half.h"
#include "tensor/kernels/cuda/emu/math.h"
#include "tensor/kernels/cuda/emu/memory.h"
#include "tensor/kernels/cuda/emu/scheduler.h"
#include "tensor/kernels/cuda/emu/types.h"
#include "tensor/kernels/cuda/emu/warp.h"
#include "tensor/kernels/cuda/emu/wmma.h"

#define SIMT_EMULATED 1
#define SIMT_UNROLL
#define SIMT_NO_UNROLL
// The key is one per array, in each instance of a template too.
#define SIMT_SHARED(T, name, dims)  \
  using name##_type = T dims;       \
  static const char name##_key = 0; \
  name##_type& name = *static_cast<name##_type*>(::emu::shared_array(&name##_key, sizeof(name##_type), #name))
#define SIMT_DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(::emu::dynamic_shared)

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) __attribute__((aligned(bytes)))

EMU_INLINE void __syncthreads(EMU_HERE) { emu::block_barrier(0, "__syncthreads", {file, line}); }
EMU_INLINE int __syncthreads_count(int predicate, EMU_HERE) {
  return emu::block_barrier(predicate, "__syncthreads_count", {file, line}).yes;
}
EMU_INLINE int __syncthreads_and(int predicate, EMU_HERE) {
  const emu::Votes votes = emu::block_barrier(predicate, "__syncthreads_and", {file, line});
  return votes.yes == votes.all;
}
EMU_INLINE int __syncthreads_or(int predicate, EMU_HERE) {
  return emu::block_barrier(predicate, "__syncthreads_or", {file, line}).yes != 0;
}
inline void __threadfence() { emu::fence(); }
inline void __threadfence_block() { emu::fence(); }
inline void __threadfence_system() { emu::fence(); }
inline void __nanosleep(unsigned) { emu::yield(); }
inline void __trap(EMU_HERE) { emu::trap({file, line}); }
long long clock64();

template <class T>
EMU_INLINE T __ldg(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE T __ldcs(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE T __ldcg(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE void __stcs(T* p, T value) {
  *p = value;
}
template <class T>
EMU_INLINE void __stcg(T* p, T value) {
  *p = value;
}

namespace emu {

template <class... Parameters>
struct Closure {
  void (*kernel)(Parameters...);
  std::tuple<std::decay_t<Parameters>...> arguments;

  void operator()() {
    const Grid grid{blocks, threads, shared_bytes, &call, this, sizeof *this, reinterpret_cast<const void*>(kernel)};
    run(grid);
  }
  static void call(void* self) {
    const Closure& closure = *static_cast<const Closure*>(self);
    std::apply(closure.kernel, closure.arguments);
  }
  dim3 blocks, threads;
  size_t shared_bytes;
};

template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared_bytes, cudaStream_t stream,
            std::type_identity_t<Parameters>... arguments) {
  (check_argument(arguments), ...);
  Closure<Parameters...> closure{kernel, {arguments...}, blocks, threads, shared_bytes};
  if (capturing(stream))
    record(stream, closure);
  else
    closure();
}

}  // namespace emu
