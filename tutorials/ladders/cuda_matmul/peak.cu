// What the multiply-add units can do at most: eight sums for a thread, so that none waits for the one before.
#include "tensor/kernels/cuda/kernels.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus::cuda_ladder {
namespace {

constexpr int sums_of_thread = 8, threads_of_block = 1024;

__global__ void multiply_adds_kernel(int rounds, float factor, float* result) {
  float sums[sums_of_thread];
  SIMT_UNROLL
  for (int i = 0; i < sums_of_thread; ++i) sums[i] = float(threadIdx.x + i);
  for (int round = 0; round < rounds; ++round) {
    SIMT_UNROLL
    for (int repeat = 0; repeat < 16; ++repeat) {
      SIMT_UNROLL
      for (int i = 0; i < sums_of_thread; ++i) sums[i] = fmaf(sums[i], factor, factor);
    }
  }
  float total = 0;
  SIMT_UNROLL
  for (int i = 0; i < sums_of_thread; ++i) total += sums[i];
  if (total == 0.123f) *result = total;  // never, but the compiler does not know
}

}  // namespace

double multiply_adds(int rounds) {
  const unsigned blocks = unsigned(2 * cuda::device_limits().multiprocessors);
  const cuda::Scratch<float> result(1);
  cuda::launch(multiply_adds_kernel, blocks, threads_of_block, 0, rounds, 0.5f, result.data());
  return 2.0 * rounds * 16 * sums_of_thread * threads_of_block * blocks;
}

}  // namespace gradus::cuda_ladder
