// Rung 1, naive: a thread for each element of C, which does what the definition says.
//
// Threads have plenty to do: 1024 x 1024 of them, where a GPU of 132 multiprocessors holds 132 x 2048 at a time. What
// holds them back is memory. The 32 threads of a warp do everything together, and a load of theirs costs as many
// accesses as it touches sectors of 32 bytes. Here they are neighbours in a column of C:
//  - They read 32 rows of A at the same place, from 32 sectors, of which each uses 4 bytes. So do they write C.
//  - Of B they all read the same number.
// 33 sectors for 32 multiply-adds. The first cache has the sectors of A again for the next 7 steps, if it can keep
// them: 2048 threads of a multiprocessor want 64 warps x 32 sectors x 32 bytes = 64 KB of it.
#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus::cuda_ladder {
namespace {

//! [naive]
__global__ void naive_kernel(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const int64_t i = blockIdx.x * blockDim.x + threadIdx.x;
  const int64_t j = blockIdx.y * blockDim.y + threadIdx.y;
  if (i >= m || j >= n) return;
  float sum = 0;
  for (int64_t p = 0; p < k; ++p) sum = fmaf(a[i * k + p], b[p * n + j], sum);
  c[i * n + j] = sum;
}
//! [naive]

}  // namespace

void naive(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const dim3 blocks(unsigned((m + 31) / 32), unsigned((n + 7) / 8));
  cuda::launch(naive_kernel, blocks, dim3(32, 8), 0, m, n, k, a, b, c);
}

}  // namespace gradus::cuda_ladder
