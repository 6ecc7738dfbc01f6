// Rung 1, naive: a thread for each row, which does what the definition says, in three passes.
//
// What holds it back:
//  - There are as many threads as rows: 8192, where an H100 can hold 132 x 2048. Each waits for its own loads, one
//    after the other, and nobody else uses the time.
//  - The 32 threads of a warp are in 32 rows. A load of theirs touches 32 sectors of 32 bytes and uses 4 bytes of
//    each. The next 7 loads find the rest of these sectors, if the cache has kept them; with rows of 16 KB, read
//    three times, it keeps nothing of a row from one pass to the next: 32 rows are 512 KB, and a multiprocessor has
//    several warps.
#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

namespace gradus::cuda_softmax_ladder {
namespace {

//! [naive]
__global__ void naive_kernel(int64_t rows, int64_t n, const float* x, float* y) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += row * n, y += row * n;
  float largest = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; ++i) largest = fmaxf(largest, x[i]);
  for (int64_t i = 0; i < n; ++i) sum += expf(x[i] - largest);
  for (int64_t i = 0; i < n; ++i) y[i] = expf(x[i] - largest) / sum;
}
//! [naive]

}  // namespace

void naive(int64_t rows, int64_t n, const float* x, float* y) {
  constexpr int threads = 128;
  cuda::launch(naive_kernel, unsigned((rows + threads - 1) / threads), threads, 0, rows, n, x, y);
}

}  // namespace gradus::cuda_softmax_ladder
