// The float32 kernels for AVX2.
#if defined(__x86_64__)

#include <immintrin.h>
#include <math.h>

#include <utility>

#include "tensor/allocator.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus::avx2 {
namespace {

// clang-format off
#include "tensor/kernels/cpu/vec_avx2.h"
#include "tensor/kernels/cpu/gemm_avx2.inl"
#include "tensor/kernels/cpu/kernels.inl"
// clang-format on

}  // namespace

void fill_table(KernelTable& table, DType dtype) { fill_kernels(table, dtype); }

}  // namespace gradus::avx2

#endif
