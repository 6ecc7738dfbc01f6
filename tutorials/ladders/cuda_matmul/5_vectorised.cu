// Rung 5, vectorised: four floats with each load.
//
// A thread now needs 4 loads of shared memory where it needed 16, and 64 of 68 instructions of a step are
// multiply-adds. For that, what it needs must be neighbours: it computes four pieces of 4 x 4 (tile.h), and A's tile
// is turned on the way, for a column of A to lie in a row of the tile. Global memory is read by four as well, where
// rows begin at multiples of 16 bytes.
//
// What holds it back: a block copies, waits, multiplies, waits. Global memory takes some 500 cycles to answer, and
// the multiply-adds of a tile some 1000. Only other blocks on the same multiprocessor fill the gaps, and registers
// allow for two.
#include "tutorials/ladders/cuda_matmul/gemm.h"
#include "tutorials/ladders/cuda_matmul/tile.h"

namespace gradus::cuda_ladder {
namespace {

// Four neighbours, zeros where they do not exist.
inline __device__ float4 load4(const float* from, int64_t exist, bool aligned) {
  if (aligned && exist >= 4) return *reinterpret_cast<const float4*>(from);
  return make_float4(exist > 0 ? from[0] : 0, exist > 1 ? from[1] : 0, exist > 2 ? from[2] : 0,
                     exist > 3 ? from[3] : 0);
}

//! [vectorised]
__global__ void __launch_bounds__(threads, 2)
    vectorised_kernel(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  SIMT_SHARED(float, a_tile, [depth * pitch]);
  SIMT_SHARED(float, b_tile, [depth * pitch]);
  const int64_t row = int64_t(blockIdx.y) * tile, column = int64_t(blockIdx.x) * tile;
  const int a_row = threadIdx.x / 2, a_depth = threadIdx.x % 2 * 4;  // of the four that this thread copies
  const int b_depth = threadIdx.x / 32, b_column = threadIdx.x % 32 * 4;
  float sums[8][8] = {};
  for (int64_t first = 0; first < k; first += depth) {
    const int64_t of_a = row + a_row < m ? k - first - a_depth : 0;
    const int64_t of_b = first + b_depth < k ? n - column - b_column : 0;
    const float4 x = load4(a + (row + a_row) * k + first + a_depth, of_a, k % 4 == 0);
    const float4 y = load4(b + (first + b_depth) * n + column + b_column, of_b, n % 4 == 0);
    float* turned = a_tile + a_depth * pitch + a_row;
    turned[0] = x.x, turned[pitch] = x.y, turned[2 * pitch] = x.z, turned[3 * pitch] = x.w;
    *reinterpret_cast<float4*>(b_tile + b_depth * pitch + b_column) = y;
    __syncthreads();
    multiply_tile(a_tile, b_tile, sums);
    __syncthreads();
  }
  store_tile(sums, m - row, n - column, c + row * n + column, n);
}
//! [vectorised]

}  // namespace

void vectorised(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const dim3 blocks(unsigned((n + tile - 1) / tile), unsigned((m + tile - 1) / tile));
  cuda::launch(vectorised_kernel, blocks, threads, 0, m, n, k, a, b, c);
}

}  // namespace gradus::cuda_ladder
