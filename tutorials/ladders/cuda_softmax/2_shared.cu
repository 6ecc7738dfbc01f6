// Rung 2, shared: a block of 256 threads for each row. Neighbouring threads read neighbouring numbers, so that a load
// of a warp is 128 bytes in a row, 4 sectors, all of them used; and there are 256 times as many threads.
//
// A thread knows the largest of its own numbers only. In shared memory the threads find that of all, as in a
// tournament: in each round half of those that are left take over a value from the other half. So with sums.
//
// What holds it back:
//  - A tournament among 256 has 8 rounds with a barrier after each; two of them are 16, and some more. Beside them a
//    thread has n / 256 = 16 numbers to look at (n = 4096). In the last five rounds a single warp works, and all
//    wait.
//  - The row is still read three times. Now the first cache has it the second time, for a multiprocessor works on 8
//    rows of 16 KB only; but that is a load again, and waiting for it.
#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

namespace gradus::cuda_softmax_ladder {
namespace {

constexpr int threads = 256;

//! [shared]
// op over the values of all threads of the block; `values` is the block's, and free when the call begins.
template <class Op>
__device__ float of_all(float value, float* values, Op op) {
  const int thread = int(threadIdx.x);
  values[thread] = value;
  __syncthreads();
  for (int half = threads / 2; half > 0; half /= 2) {
    if (thread < half) values[thread] = op(values[thread], values[thread + half]);
    __syncthreads();
  }
  const float result = values[0];
  __syncthreads();  // before anyone writes there again
  return result;
}

__global__ void shared_kernel(int64_t n, const float* x, float* y) {
  SIMT_SHARED(float, values, [threads]);
  x += blockIdx.x * n, y += blockIdx.x * n;
  float largest = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += threads) largest = fmaxf(largest, x[i]);
  largest = of_all(largest, values, [](float a, float b) { return fmaxf(a, b); });
  for (int64_t i = threadIdx.x; i < n; i += threads) sum += expf(x[i] - largest);
  sum = of_all(sum, values, [](float a, float b) { return a + b; });
  for (int64_t i = threadIdx.x; i < n; i += threads) y[i] = expf(x[i] - largest) / sum;
}
//! [shared]

}  // namespace

void shared(int64_t rows, int64_t n, const float* x, float* y) {
  cuda::launch(shared_kernel, unsigned(rows), threads, 0, n, x, y);
}

}  // namespace gradus::cuda_softmax_ladder
