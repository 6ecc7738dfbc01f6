// The exercises of chapter 20: four kernels, each with its launch.
#pragma once

#include <cstdint>

#include "tutorials/ladders/cuda/emu/accesses.h"

namespace ch20 {

using gradus::cuda::launch;  // launch(kernel, blocks, threads, 0, arguments...)
// To use, a float in the device's memory. It tells the grader of each read and write.
using Word = gradus::ladder::Word;

constexpr int piece_size = 64;   // of 20.2: of x, and threads of a block
constexpr int square_size = 32;  // of 20.3: rows and columns
constexpr int tile = 16;         // of 20.4: rows and columns of a tile; a block has tile x tile threads

// Matrices are row-major; rows begin `x_row` numbers apart and may have gaps between them, which nobody may touch.
// Sizes are any, 0 as well.
struct Exercises {
  // 20.1 ★ y (rows, columns) = x (rows, columns), the threads of a warp side by side in a row.
  void (*copy)(int64_t rows, int64_t columns, const Word* x, int64_t x_row, Word* y, int64_t y_row);

  // 20.2 ★★ y (m) = A x, with a (m, n) and x (n): racing_product below, without its race.
  void (*product)(int64_t m, int64_t n, const float* a, int64_t a_row, const float* x, float* y);

  // 20.3 ★★ y (columns, rows) = x (rows, columns), transposed: conflicting_transpose below, without its conflicts.
  void (*transpose)(int64_t rows, int64_t columns, const Word* x, int64_t x_row, Word* y, int64_t y_row);

  // 20.4 ★★★ c (m, n) = a (m, k) times b (k, n), by tiles in shared memory: each block reads each number of a and b
  // that it needs but once.
  void (*multiply)(int64_t m, int64_t n, int64_t k, const Word* a, int64_t a_row, const Word* b, int64_t b_row,
                   Word* c, int64_t c_row);
};

// --- for 20.2 and 20.3: not as they should be ------------------------------------------------------------------------

//! [race]
// A block has 64 rows of A, a thread for each; of x they keep one piece at a time.
inline __global__ void racing_product(int64_t m, int64_t n, const float* a, int64_t a_row, const float* x, float* y) {
  SIMT_SHARED(float, piece, [piece_size]);
  const int t = int(threadIdx.x);
  const int64_t i = int64_t(blockIdx.x) * piece_size + t;
  float sum = 0;
  for (int64_t first = 0; first < n; first += piece_size) {
    if (first + t < n) piece[t] = x[first + t];
    __syncthreads();
    for (int p = 0; p < piece_size && first + p < n && i < m; ++p) sum += a[i * a_row + first + p] * piece[p];
  }
  if (i < m) y[i] = sum;
}
//! [race]

//! [conflict]
// A block of 32 x 8 threads turns a square of 32 x 32: rows of x come in, rows of y go out.
inline __global__ void conflicting_transpose(int64_t rows, int64_t columns, const Word* x, int64_t x_row, Word* y,
                                             int64_t y_row) {
  SIMT_SHARED(Word, square, [square_size][square_size]);
  const int64_t i = int64_t(blockIdx.y) * square_size, j = int64_t(blockIdx.x) * square_size;  // where it begins in x
  const int l = int(threadIdx.x);
  for (int r = int(threadIdx.y); r < square_size; r += 8)
    if (i + r < rows && j + l < columns) square[r][l] = x[(i + r) * x_row + j + l];
  __syncthreads();
  for (int r = int(threadIdx.y); r < square_size; r += 8)
    if (j + r < columns && i + l < rows) y[(j + r) * y_row + i + l] = square[l][r];
}
//! [conflict]

}  // namespace ch20
