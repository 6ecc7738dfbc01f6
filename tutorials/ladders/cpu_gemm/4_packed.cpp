// Rung 4, packed, with the plain tile of rung 3; 4_packed.inl says what changed.
#include <cstddef>

#include "tensor/allocator.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {
namespace {

constexpr int64_t tile_rows = 4, tile_columns = 8;

//! [tile]
void add_tile(int64_t steps, const float* a, const float* b, float* c, int64_t c_row) {
  float sum[tile_rows][tile_columns] = {};
  for (int64_t p = 0; p < steps; ++p, a += tile_rows, b += tile_columns) {
    for (int64_t i = 0; i < tile_rows; ++i) {
      for (int64_t j = 0; j < tile_columns; ++j) sum[i][j] += a[i] * b[j];
    }
  }
  for (int64_t i = 0; i < tile_rows; ++i) {
    for (int64_t j = 0; j < tile_columns; ++j) c[i * c_row + j] += sum[i][j];
  }
}
//! [tile]

#include "tutorials/ladders/cpu_gemm/4_packed.inl"

}  // namespace

void packed(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) { multiply(m, n, k, a, b, c); }

}  // namespace gradus::ladder
