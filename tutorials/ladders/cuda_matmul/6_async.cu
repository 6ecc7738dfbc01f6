// Rung 6, async: the next tile is on its way while this one is multiplied.
//
// cp.async copies from global to shared memory without a register in between, and without waiting: a thread says what
// it wants, and later waits until what it said has come. There are two buffers for each tile; the copies of step t +
// 1 run while step t is computed, and one barrier for each step is enough. A copy is of 4, 8 or 16 bytes; A, which is
// to be turned, is copied in fours, that is, number by number: a thread has five copies for 512 multiply-adds. What
// does not exist is copied as zero.
//
// What holds it back is no longer one thing. 64 of 68 instructions are multiply-adds; the tiles at the edge, and the
// last of the blocks, which leave multiprocessors idle, depend on the size. The library does better where sizes are
// awkward, and a little everywhere: rung 7 says how.
#include "tutorials/ladders/cuda_matmul/gemm.h"
#include "tutorials/ladders/cuda_matmul/tile.h"

namespace gradus::cuda_ladder {
namespace {

//! [async]
__global__ void __launch_bounds__(threads, 2)
    async_kernel(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  SIMT_SHARED(float, a_tiles, [2][depth * pitch]);
  SIMT_SHARED(float, b_tiles, [2][depth * pitch]);
  const int64_t row = int64_t(blockIdx.y) * tile, column = int64_t(blockIdx.x) * tile;
  const int thread = threadIdx.x;
  const auto copy = [&](int64_t first, int buffer) {
    SIMT_UNROLL
    for (int e = thread; e < tile * depth; e += threads) {
      const int p = e % depth, i = e / depth;
      const bool exists = row + i < m && first + p < k;
      simt::cp_async<4>(&a_tiles[buffer][p * pitch + i], a + (row + i) * k + first + p, exists ? 4 : 0);
    }
    if (n % 4 == 0) {
      const int p = thread / 32, j = thread % 32 * 4;
      const bool exists = first + p < k && column + j < n;
      simt::cp_async<16>(&b_tiles[buffer][p * pitch + j], b + (first + p) * n + column + j, exists ? 16 : 0);
    } else {
      SIMT_NO_UNROLL
      for (int e = thread; e < depth * tile; e += threads) {
        const int p = e / tile, j = e % tile;
        const bool exists = first + p < k && column + j < n;
        simt::cp_async<4>(&b_tiles[buffer][p * pitch + j], b + (first + p) * n + column + j, exists ? 4 : 0);
      }
    }
    simt::cp_async_commit();
  };
  //! [loop]
  float sums[8][8] = {};
  copy(0, 0);
  int buffer = 0;
  for (int64_t first = 0; first < k; first += depth) {
    simt::cp_async_wait<0>();
    __syncthreads();  // this tile is there, for everyone; and everyone has read the one before, whose place is free
    copy(first + depth, 1 - buffer);
    multiply_tile(a_tiles[buffer], b_tiles[buffer], sums);
    buffer = 1 - buffer;
  }
  //! [loop]
  simt::cp_async_wait<0>();
  store_tile(sums, m - row, n - column, c + row * n + column, n);
}
//! [async]

}  // namespace

void async(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const dim3 blocks(unsigned((n + tile - 1) / tile), unsigned((m + tile - 1) / tile));
  cuda::launch(async_kernel, blocks, threads, 0, m, n, k, a, b, c);
}

}  // namespace gradus::cuda_ladder
