// Rung 4, registers: a thread computes 8 x 8 elements of C, whose sums stay in its registers.
//
// In a step of depth it loads 8 numbers of A and 8 of B, and does 64 multiply-adds with them. A block of 16 x 16
// threads has a tile of 128 x 128 of C, and for 8 steps copies 2 x 128 x 8 numbers: 64 multiply-adds for each float
// that global memory gives, 4 times as many as before.
//
// 16 loads of a warp take shared memory 16 cycles, and 64 multiply-adds take the arithmetic units of a multiprocessor
// just as long. Elements of a thread are 16 apart, so that threads next to each other read neighbours, from different
// banks.
//
// What holds it back: the two must overlap all the time to reach the peak, and each takes a turn of the scheduler,
// which starts one instruction in a cycle: 64 of 80 are multiply-adds.
#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus::cuda_ladder {
namespace {

constexpr int tile = 128, depth = 8, side = 16, each = tile / side;  // 16 x 16 threads, 8 x 8 elements each

//! [registers]
__global__ void __launch_bounds__(side* side, 2)
    registers_kernel(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  SIMT_SHARED(float, a_tile, [tile][depth]);
  SIMT_SHARED(float, b_tile, [depth][tile]);
  const int thread = threadIdx.x, x = thread % side, y = thread / side;
  const int64_t row = int64_t(blockIdx.y) * tile, column = int64_t(blockIdx.x) * tile;
  float sums[each][each] = {};
  for (int64_t first = 0; first < k; first += depth) {
    SIMT_NO_UNROLL
    for (int e = thread; e < tile * depth; e += side * side) {  // four of each for every thread
      const int64_t i = row + e / depth, p = first + e % depth;
      a_tile[e / depth][e % depth] = i < m && p < k ? a[i * k + p] : 0;
    }
    SIMT_NO_UNROLL
    for (int e = thread; e < depth * tile; e += side * side) {
      const int64_t p = first + e / tile, j = column + e % tile;
      b_tile[e / tile][e % tile] = p < k && j < n ? b[p * n + j] : 0;
    }
    __syncthreads();
    //! [step]
    SIMT_UNROLL
    for (int p = 0; p < depth; ++p) {
      float of_a[each], of_b[each];
      SIMT_UNROLL
      for (int i = 0; i < each; ++i) of_a[i] = a_tile[y + i * side][p];
      SIMT_UNROLL
      for (int j = 0; j < each; ++j) of_b[j] = b_tile[p][x + j * side];
      SIMT_UNROLL
      for (int i = 0; i < each; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < each; ++j) sums[i][j] = fmaf(of_a[i], of_b[j], sums[i][j]);
      }
    }
    //! [step]
    __syncthreads();
  }
  SIMT_UNROLL
  for (int i = 0; i < each; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < each; ++j) {
      const int64_t to_row = row + y + i * side, to_column = column + x + j * side;
      if (to_row < m && to_column < n) c[to_row * n + to_column] = sums[i][j];
    }
  }
}
//! [registers]

}  // namespace

void registers(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const dim3 blocks(unsigned((n + tile - 1) / tile), unsigned((m + tile - 1) / tile));
  cuda::launch(registers_kernel, blocks, side * side, 0, m, n, k, a, b, c);
}

}  // namespace gradus::cuda_ladder
