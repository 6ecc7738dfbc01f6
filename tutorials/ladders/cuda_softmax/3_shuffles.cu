// Rung 3, shuffles: the threads of a warp exchange values by themselves, from register to register.
//
// In __shfl_xor_sync(mask, value, step) a thread gets the value of the one whose number differs in the bit `step`.
// After the steps 16, 8, 4, 2, 1 all 32 have the result of all, in 5 instructions without a barrier. The 8 warps then
// leave one value each in shared memory, and after a barrier every warp makes the result of these by 3 steps more:
// one barrier instead of 10, and no round in which most threads only wait.
//
// What holds it back: three passes. Each is a loop with one load of 4 bytes on its way for each thread at a time, and
// between any two of them all threads wait for the slowest.
#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

namespace gradus::cuda_softmax_ladder {
namespace {

constexpr int threads = 256, warp = 32, warps = threads / warp;
constexpr unsigned everyone = 0xffffffffu;

//! [shuffles]
// op over the values of all threads of the block; nobody may still read `values`, one for each warp.
template <class Op>
__device__ float of_all(float value, float* values, Op op) {
  for (int step = warp / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(everyone, value, step));
  if (threadIdx.x % warp == 0) values[threadIdx.x / warp] = value;
  __syncthreads();
  value = values[threadIdx.x % warps];
  for (int step = warps / 2; step > 0; step /= 2) value = op(value, __shfl_xor_sync(everyone, value, step));
  return value;
}

__global__ void shuffles_kernel(int64_t n, const float* x, float* y) {
  SIMT_SHARED(float, values, [2][warps]);  // for each of the two results, so that none waits for the other's readers
  x += blockIdx.x * n, y += blockIdx.x * n;
  float largest = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += threads) largest = fmaxf(largest, x[i]);
  largest = of_all(largest, values[0], [](float a, float b) { return fmaxf(a, b); });
  for (int64_t i = threadIdx.x; i < n; i += threads) sum += expf(x[i] - largest);
  sum = of_all(sum, values[1], [](float a, float b) { return a + b; });
  for (int64_t i = threadIdx.x; i < n; i += threads) y[i] = expf(x[i] - largest) / sum;
}
//! [shuffles]

}  // namespace

void shuffles(int64_t rows, int64_t n, const float* x, float* y) {
  cuda::launch(shuffles_kernel, unsigned(rows), threads, 0, n, x, y);
}

}  // namespace gradus::cuda_softmax_ladder
