// Rung 2, coalesced: i and j change places, so that the threads of a warp are neighbours in a row of C.
//
// Now a warp reads 32 neighbours of B, 4 sectors that are used to the last byte, and one number of A: 5 sectors where
// there were 33. So it writes C.
//
// What holds it back: for each multiply-add a thread loads two numbers. Load units serve a warp's load of 128 bytes
// in a cycle, if the first cache has it; multiply-adds of four warps are done in that time. Two loads for one: at
// most 1/8 of what the multiprocessor can do. And A and B come from the second cache again and again: each block of 8
// x 32 reads 8 rows of A and 32 columns of B, (8 + 32) k floats for 8 x 32 x k multiply-adds.
#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus::cuda_ladder {
namespace {

//! [coalesced]
__global__ void coalesced_kernel(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const int64_t j = blockIdx.x * blockDim.x + threadIdx.x;
  const int64_t i = blockIdx.y * blockDim.y + threadIdx.y;
  if (i >= m || j >= n) return;
  float sum = 0;
  for (int64_t p = 0; p < k; ++p) sum = fmaf(a[i * k + p], b[p * n + j], sum);
  c[i * n + j] = sum;
}
//! [coalesced]

}  // namespace

void coalesced(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const dim3 blocks(unsigned((n + 31) / 32), unsigned((m + 7) / 8));
  cuda::launch(coalesced_kernel, blocks, dim3(32, 8), 0, m, n, k, a, b, c);
}

}  // namespace gradus::cuda_ladder
