// Rung 3, shuffles: a warp for each row, whose threads exchange their sums from register to register (as in
// ../cuda_softmax/3_shuffles.cu). No barrier is left: a warp waits for nobody, and while it waits for memory, others
// go on.
//
// What holds it back: three passes, each with one load of 4 bytes on its way for a thread; and rows of many thousands
// make few warps busy for long.
#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"

namespace gradus::cuda_layer_norm_ladder {
namespace {

constexpr int warp = 32, rows_of_block = 4;

//! [shuffles]
__device__ float sum_of_warp(float value) {
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

__global__ void shuffles_kernel(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias,
                                float* y) {
  const int64_t row = int64_t(blockIdx.x) * rows_of_block + threadIdx.y;
  if (row >= rows) return;  // the whole warp
  x += row * n, y += row * n;
  float sum = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < n; i += warp) sum += x[i];
  const float mean = sum_of_warp(sum) / float(n);
  for (int64_t i = threadIdx.x; i < n; i += warp) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / sqrtf(sum_of_warp(squares) / float(n) + eps);
  for (int64_t i = threadIdx.x; i < n; i += warp) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}
//! [shuffles]

}  // namespace

void shuffles(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias, float* y) {
  const unsigned blocks = unsigned((rows + rows_of_block - 1) / rows_of_block);
  cuda::launch(shuffles_kernel, blocks, dim3(warp, rows_of_block), 0, rows, n, x, weight, bias, y);
}

}  // namespace gradus::cuda_layer_norm_ladder
