// The habit of the first lesson, `if (i >= n) return;`, and then a sum over the warp. In the last block some lanes have
// gone home, the mask still names them, and what a shuffle gives then nobody has promised. All lanes stay until the
// last warp operation; those beyond the end bring a zero.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* sums, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float sum = x[i];
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);  // FAULT
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void mended(const float* x, float* sums, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  float sum = i < n ? x[i] : 0;
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

}  // namespace

void early_return(bool mend) {
  const DeviceArray<float> x(50), sums(2);
  launch(mend ? mended : broken, 2, 32, 0, x.data(), sums.data(), 50u);
}

}  // namespace broken
