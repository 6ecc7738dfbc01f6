// Exercises of chapter 20. What each function has to do is in exercises.h. A kernel and its launch belong together: as
// long as the launch is not implemented, the kernel does not run.
#include "exercises.h"

#include "tutorials/grading/grading.h"

using namespace ch20;

namespace {

// 20.1 ★ Each thread has one element, if there is one for it: threadIdx.x and blockIdx.x say which column, threadIdx.y
// and blockIdx.y which row. Threads with neighbouring threadIdx.x are neighbours in a warp.
[[maybe_unused]] __global__ void copy_kernel(int64_t rows, int64_t columns, const Word* x, int64_t x_row, Word* y,
                                             int64_t y_row) {
  // BEGIN SOLUTION 20.1
  const int64_t j = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t i = int64_t(blockIdx.y) * blockDim.y + threadIdx.y;
  if (i >= rows || j >= columns) return;
  y[i * y_row + j] = x[i * x_row + j];
  // END SOLUTION
  // MISTAKE the lanes of a warp go down a column
  // - const int64_t j = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  // - const int64_t i = int64_t(blockIdx.y) * blockDim.y + threadIdx.y;
  // + const int64_t block = int64_t(blockIdx.y) * gridDim.x + blockIdx.x;
  // + const int64_t t = block * 256 + threadIdx.y * 32 + threadIdx.x;
  // + const int64_t i = t % rows, j = t / rows;
  // MISTAKE threads beyond the edge copy, too
  // - if (i >= rows || j >= columns) return;
  // + if (i >= rows) return;
}

// Blocks of 32 x 8 threads, and as many blocks as it takes: dim3(blocks along x, blocks along y).
void copy(int64_t rows, int64_t columns, const Word* x, int64_t x_row, Word* y, int64_t y_row) {
  // BEGIN SOLUTION 20.1
  const dim3 blocks(unsigned((columns + 31) / 32), unsigned((rows + 7) / 8));
  launch(copy_kernel, blocks, dim3(32, 8), 0, rows, columns, x, x_row, y, y_row);
  // END SOLUTION
}

// 20.2 ★★ As racing_product in exercises.h. Where does a thread write what another one reads, with no barrier between
// the two? The checker's report names both lines. A barrier is for all threads of the block.
[[maybe_unused]] __global__ void product_kernel(int64_t m, int64_t n, const float* a, int64_t a_row, const float* x,
                                                float* y) {
  // BEGIN SOLUTION 20.2
  SIMT_SHARED(float, piece, [piece_size]);
  const int t = int(threadIdx.x);
  const int64_t i = int64_t(blockIdx.x) * piece_size + t;
  float sum = 0;
  for (int64_t first = 0; first < n; first += piece_size) {
    if (first + t < n) piece[t] = x[first + t];
    __syncthreads();
    for (int p = 0; p < piece_size && first + p < n && i < m; ++p) sum += a[i * a_row + first + p] * piece[p];
    __syncthreads();
  }
  if (i < m) y[i] = sum;
  // END SOLUTION
  // MISTAKE the barrier has moved, and there is still only one
  // - __syncthreads();
  // - for (int p = 0; p < piece_size && first + p < n && i < m; ++p) sum += a[i * a_row + first + p] * piece[p];
  // - __syncthreads();
  // + for (int p = 0; p < piece_size && first + p < n && i < m; ++p) sum += a[i * a_row + first + p] * piece[p];
  // + __syncthreads();
  // MISTAKE threads without a row stay out of the loop
  // - for (int64_t first = 0; first < n; first += piece_size) {
  // + for (int64_t first = 0; first < n && i < m; first += piece_size) {
}

void product(int64_t m, int64_t n, const float* a, int64_t a_row, const float* x, float* y) {
  // BEGIN SOLUTION 20.2
  launch(product_kernel, unsigned((m + piece_size - 1) / piece_size), piece_size, 0, m, n, a, a_row, x, y);
  // END SOLUTION
}

// 20.3 ★★ As conflicting_transpose in exercises.h, with a square in which neither rows nor columns have two words in
// one bank: where 32 lanes read one below the other, addresses must not be multiples of 32 apart.
[[maybe_unused]] __global__ void transpose_kernel(int64_t rows, int64_t columns, const Word* x, int64_t x_row,
                                                  Word* y, int64_t y_row) {
  // BEGIN SOLUTION 20.3
  SIMT_SHARED(Word, square, [square_size][square_size + 1]);
  const int64_t i = int64_t(blockIdx.y) * square_size, j = int64_t(blockIdx.x) * square_size;
  const int l = int(threadIdx.x);
  for (int r = int(threadIdx.y); r < square_size; r += 8)
    if (i + r < rows && j + l < columns) square[r][l] = x[(i + r) * x_row + j + l];
  __syncthreads();
  for (int r = int(threadIdx.y); r < square_size; r += 8)
    if (j + r < columns && i + l < rows) y[(j + r) * y_row + i + l] = square[l][r];
  // END SOLUTION
  // MISTAKE the padding is a row more, not a column
  // - SIMT_SHARED(Word, square, [square_size][square_size + 1]);
  // + SIMT_SHARED(Word, square, [square_size + 1][square_size]);
  // MISTAKE columns of y are written instead of rows
  // - for (int r = int(threadIdx.y); r < square_size; r += 8)
  // -   if (j + r < columns && i + l < rows) y[(j + r) * y_row + i + l] = square[l][r];
  // + for (int r = int(threadIdx.y); r < square_size; r += 8)
  // +   if (j + l < columns && i + r < rows) y[(j + l) * y_row + i + r] = square[r][l];
}

void transpose(int64_t rows, int64_t columns, const Word* x, int64_t x_row, Word* y, int64_t y_row) {
  // BEGIN SOLUTION 20.3
  const auto squares = [](int64_t size) { return unsigned((size + square_size - 1) / square_size); };
  launch(transpose_kernel, dim3(squares(columns), squares(rows)), dim3(32, 8), 0, rows, columns, x, x_row, y, y_row);
  // END SOLUTION
}

// 20.4 ★★★ A block computes tile x tile elements of c, a thread one of them. For each piece of k: copy tile x tile
// numbers of a and as many of b, zeros where there are none; barrier; add up; barrier. Every thread of the block takes
// part until the end, whether c has an element for it or not.
[[maybe_unused]] __global__ void multiply_kernel(int64_t m, int64_t n, int64_t k, const Word* a, int64_t a_row,
                                                 const Word* b, int64_t b_row, Word* c, int64_t c_row) {
  // BEGIN SOLUTION 20.4
  SIMT_SHARED(Word, a_tile, [tile][tile]);
  SIMT_SHARED(Word, b_tile, [tile][tile]);
  const int x = int(threadIdx.x), y = int(threadIdx.y);
  const int64_t i = int64_t(blockIdx.y) * tile + y, j = int64_t(blockIdx.x) * tile + x;
  float sum = 0;
  for (int64_t first = 0; first < k; first += tile) {
    a_tile[y][x] = i < m && first + x < k ? a[i * a_row + first + x] : 0;
    b_tile[y][x] = first + y < k && j < n ? b[(first + y) * b_row + j] : 0;
    __syncthreads();
    for (int p = 0; p < tile; ++p) sum = fmaf(a_tile[y][p], b_tile[p][x], sum);
    __syncthreads();
  }
  if (i < m && j < n) c[i * c_row + j] = sum;
  // END SOLUTION
  // MISTAKE threads without an element of c return before they have copied
  // - float sum = 0;
  // + if (i >= m || j >= n) return;
  // + float sum = 0;
  // MISTAKE beyond the last column of a, what lies there is taken for a
  // - a_tile[y][x] = i < m && first + x < k ? a[i * a_row + first + x] : 0;
  // - b_tile[y][x] = first + y < k && j < n ? b[(first + y) * b_row + j] : 0;
  // + a_tile[y][x] = i < m ? a[i * a_row + first + x] : 0;
  // + b_tile[y][x] = j < n && first + y < k ? b[(first + y) * b_row + j] : 0;
}

void multiply(int64_t m, int64_t n, int64_t k, const Word* a, int64_t a_row, const Word* b, int64_t b_row, Word* c,
              int64_t c_row) {
  // BEGIN SOLUTION 20.4
  const dim3 blocks(unsigned((n + tile - 1) / tile), unsigned((m + tile - 1) / tile));
  launch(multiply_kernel, blocks, dim3(tile, tile), 0, m, n, k, a, a_row, b, b_row, c, c_row);
  // END SOLUTION
}

}  // namespace

EXERCISES(ch20::Exercises, copy, product, transpose, multiply);
