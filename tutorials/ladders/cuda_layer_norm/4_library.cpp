// Rung 4, library: what Gradus uses, tensor/kernels/cuda/norms.cu with block.h. It is rung 3 and
//  - the row in registers: a thread loads 16 numbers, in four loads of 16 bytes that are all on their way before the
//    first is needed, and keeps them until it writes. Two passes for the variance cost no second reading;
//  - as many threads as the row needs: 8 for one of 32 numbers, a warp up to 512, beyond that a block of up to 1024,
//    whose warps exchange sums by shared memory;
//  - mean and 1 / sqrt(variance + eps) of each row are written too, for the gradient.
//
// What still holds it back is memory: each number is read once and written once, as in a copy. Weight and bias, which
// all rows share, come from the cache.
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"

namespace gradus::cuda_layer_norm_ladder {

//! [library]
void library(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias, float* y) {
  const size_t bytes = size_t(rows) * sizeof(float);
  void *mean = cuda::allocate(bytes), *rstd = cuda::allocate(bytes);
  kernels(Device::cuda, float32).layer_norm(x, weight, bias, eps, rows, n, y, mean, rstd);
  cuda::deallocate(mean, bytes), cuda::deallocate(rstd, bytes);
}
//! [library]

}  // namespace gradus::cuda_layer_norm_ladder
