// Rung 2, shared: a block of 256 threads for each row. Neighbouring threads read neighbouring numbers, 128 bytes for
// a load of a warp, all of them used. Sums of all threads are made in shared memory, by halves (as in
// ../cuda_softmax/2_shared.cu); so is their order always the same, and it loses fewer digits than one number after
// the other: a sum of 4096 is 16 additions in each thread and 8 more.
//
// What holds it back: 20 barriers for a row, and three passes over it.
#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"

namespace gradus::cuda_layer_norm_ladder {
namespace {

constexpr int threads = 256;

//! [shared]
// The sum of the values of all threads of the block; `values` is the block's, and free when the call begins.
__device__ float sum_of_all(float value, float* values) {
  const int thread = int(threadIdx.x);
  values[thread] = value;
  __syncthreads();
  for (int half = threads / 2; half > 0; half /= 2) {
    if (thread < half) values[thread] += values[thread + half];
    __syncthreads();
  }
  const float result = values[0];
  __syncthreads();  // before anyone writes there again
  return result;
}

__global__ void shared_kernel(int64_t n, const float* x, const float* weight, const float* bias, float* y) {
  SIMT_SHARED(float, values, [threads]);
  x += blockIdx.x * n, y += blockIdx.x * n;
  float sum = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < n; i += threads) sum += x[i];
  const float mean = sum_of_all(sum, values) / float(n);
  for (int64_t i = threadIdx.x; i < n; i += threads) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / sqrtf(sum_of_all(squares, values) / float(n) + eps);
  for (int64_t i = threadIdx.x; i < n; i += threads) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}
//! [shared]

}  // namespace

void shared(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias, float* y) {
  cuda::launch(shared_kernel, unsigned(rows), threads, 0, n, x, weight, bias, y);
}

}  // namespace gradus::cuda_layer_norm_ladder
