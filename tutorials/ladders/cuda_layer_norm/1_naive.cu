// Rung 1, naive: a thread for each row, which does what the definition says: the mean, the variance, the result.
//
// The variance is made in a pass of its own, of squares of (x - mean). The mean of the squares less the square of the
// mean would save the pass, and lose all digits where a row is far from 0: with a mean of 1000 and a variance of 1 it
// is the difference of two numbers of 10^6, of which float32 has 7 digits.
//
// What holds it back is what holds back ../cuda_softmax/1_naive.cu: as many threads as rows, and loads of a warp from
// 32 rows at a time.
#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"

namespace gradus::cuda_layer_norm_ladder {
namespace {

//! [naive]
__global__ void naive_kernel(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias,
                             float* y) {
  const int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  x += row * n, y += row * n;
  float sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  const float mean = sum / float(n);
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1 / sqrtf(squares / float(n) + eps);
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * scale * weight[i] + bias[i];
}
//! [naive]

}  // namespace

void naive(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias, float* y) {
  constexpr int threads = 128;
  cuda::launch(naive_kernel, unsigned((rows + threads - 1) / threads), threads, 0, rows, n, x, weight, bias, y);
}

}  // namespace gradus::cuda_layer_norm_ladder
