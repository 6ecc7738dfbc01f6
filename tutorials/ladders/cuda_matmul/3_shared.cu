// Rung 3, shared: a block of 32 x 32 threads copies tiles of A and B into shared memory, which all of them then use.
//
// A step of 32 in depth: each thread copies one number of A and one of B, and does 32 multiply-adds with what the
// others copied. So A and B are read from global memory 32 times less often than there are multiply-adds: 2 x 4 bytes
// for 2 x 32 operations. A GPU with 3.35 TB/s could do 8 operations for each byte with that, 27 TFLOP/s, even without
// caches.
//
// What holds it back: the two loads for each multiply-add are still there, though of shared memory, which has 128
// bytes, one warp's load, in a cycle. Again 1/8 of the peak. And all wait for the slowest at each barrier.
#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus::cuda_ladder {
namespace {

constexpr int tile = 32;

//! [shared]
__global__ void shared_kernel(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  SIMT_SHARED(float, a_tile, [tile][tile]);
  SIMT_SHARED(float, b_tile, [tile][tile]);
  const int x = threadIdx.x, y = threadIdx.y;
  const int64_t i = int64_t(blockIdx.y) * tile + y, j = int64_t(blockIdx.x) * tile + x;
  float sum = 0;
  for (int64_t first = 0; first < k; first += tile) {
    a_tile[y][x] = i < m && first + x < k ? a[i * k + first + x] : 0;
    b_tile[y][x] = first + y < k && j < n ? b[(first + y) * n + j] : 0;
    __syncthreads();  // all have copied
    for (int p = 0; p < tile; ++p) sum = fmaf(a_tile[y][p], b_tile[p][x], sum);
    __syncthreads();  // all have read
  }
  if (i < m && j < n) c[i * n + j] = sum;
}
//! [shared]

}  // namespace

void shared(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const dim3 blocks(unsigned((n + tile - 1) / tile), unsigned((m + tile - 1) / tile));
  cuda::launch(shared_kernel, blocks, dim3(tile, tile), 0, m, n, k, a, b, c);
}

}  // namespace gradus::cuda_ladder
