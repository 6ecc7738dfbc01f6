// The float32 kernels for AVX-512, and those of bfloat16.
#if defined(__x86_64__)

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of its own _mm512_undefined_ps (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <cpuid.h>
#include <immintrin.h>
#include <math.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <utility>

#include "tensor/allocator.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus::avx512 {
namespace {

// clang-format off
#include "tensor/kernels/cpu/vec_avx512.h"
#include "tensor/kernels/cpu/gemm_avx512.inl"
#include "tensor/kernels/cpu/kernels.inl"
#include "tensor/kernels/cpu/gemm_amx.inl"
// clang-format on

}  // namespace

void fill_table(KernelTable& table, DType dtype) {
  fill_kernels(table, dtype);
  if (dtype == DType::bfloat16 && has_amx()) table.matmul = table.matmul_packed = matmul_amx;
}

}  // namespace gradus::avx512

#endif
