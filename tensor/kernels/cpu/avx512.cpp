// The float32 kernels for AVX-512. Everything they share with other backends is included inside this
// namespace: compiled with this file's flags, it must not be mistaken by the linker for the copy of a backend
// that runs anywhere.
#if defined(__x86_64__)

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of its own _mm512_undefined_ps (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>
#include <math.h>

#include <utility>

#include "tensor/allocator.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus::avx512 {
namespace {

// Each builds on those before it.
// clang-format off
#include "tensor/kernels/cpu/vec_avx512.h"
#include "tensor/kernels/cpu/vecmath.h"
#include "tensor/kernels/elementwise.h"
#include "tensor/kernels/cpu/loops.inl"
#include "tensor/kernels/cpu/elementwise.inl"
#include "tensor/kernels/cpu/reduce.inl"
#include "tensor/kernels/cpu/softmax.inl"
#include "tensor/kernels/cpu/norms.inl"
#include "tensor/kernels/cpu/random.inl"
#include "tensor/kernels/cpu/indexing.inl"
#include "tensor/kernels/cpu/optimisers.inl"
#include "tensor/kernels/cpu/gemm_avx512.inl"
#include "tensor/kernels/cpu/gemm.inl"
#include "tensor/kernels/cpu/conv.inl"
#include "tensor/kernels/cpu/pool.inl"
// clang-format on

}  // namespace

void fill_table(KernelTable& table) {
  fill_elementwise(table);
  fill_reduce(table);
  fill_softmax(table);
  fill_norms(table);
  fill_random(table);
  fill_indexing(table);
  fill_optimisers(table);
  fill_products(table);
  fill_convolutions(table);
  fill_pools(table);
}

}  // namespace gradus::avx512

#endif
