// Rungs 5 and 6 for one instruction set: that of the flags this file is compiled with. What it includes lies in
// that instruction set's namespace, or the linker could hand its functions to machines that lack it.
#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 warns of its own _mm512_undefined_ps (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cstddef>

#include "tensor/allocator.h"
#include "tensor/kernels/cpu/threads.h"
#include "tutorials/ladders/cpu_gemm/isa.h"

// Loops over the registers of a tile must vanish, or the tile would lie in memory.
#ifdef __clang__
#define LADDER_UNROLL _Pragma("clang loop unroll(full)")
#else
#define LADDER_UNROLL _Pragma("GCC unroll 16")
#endif

#if defined(__AVX512F__)
#define LADDER_ISA avx512
#define LADDER_PACK "tensor/kernels/cpu/vec_avx512.h"
#elif defined(__AVX2__)
#define LADDER_ISA avx2
#define LADDER_PACK "tensor/kernels/cpu/vec_avx2.h"
#else
#define LADDER_ISA neon
#define LADDER_PACK "tensor/kernels/cpu/vec_neon.h"
#endif

namespace gradus::ladder::LADDER_ISA {
namespace {

// clang-format off
#include LADDER_PACK
#include "tutorials/ladders/cpu_gemm/5_vectorised.inl"
#include "tutorials/ladders/cpu_gemm/4_packed.inl"
#include "tutorials/ladders/cpu_gemm/6_threaded.inl"
// clang-format on

}  // namespace

void vectorised(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  multiply(m, n, k, a, b, c);
}

void threaded(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  multiply_threaded(m, n, k, a, b, c);
}

double multiply_adds(int64_t rounds) {
  volatile float half = 0.5f;  // or the compiler would do it all beforehand
  const float start = half;
  const Vec x = Vec(double(start));
  Vec sum[tile_rows][tile_vectors];
  LADDER_UNROLL
  for (int i = 0; i < tile_rows; ++i) {
    LADDER_UNROLL
    for (int v = 0; v < tile_vectors; ++v)
      sum[i][v] = Vec(double(start + float(i * tile_vectors + v)));  // all differ
  }
  for (int64_t r = 0; r < rounds; ++r) {
    LADDER_UNROLL
    for (int i = 0; i < tile_rows; ++i) {
      LADDER_UNROLL
      for (int v = 0; v < tile_vectors; ++v) sum[i][v] = fma(sum[i][v], x, x);
    }
  }
  Vec all = x;
  LADDER_UNROLL
  for (int i = 0; i < tile_rows; ++i) {
    LADDER_UNROLL
    for (int v = 0; v < tile_vectors; ++v) all = all + sum[i][v];
  }
  float kept[Vec::lanes];
  store(kept, all);
  half = kept[0];
  return 2.0 * tile_rows * tile_columns * double(rounds);
}

}  // namespace gradus::ladder::LADDER_ISA
