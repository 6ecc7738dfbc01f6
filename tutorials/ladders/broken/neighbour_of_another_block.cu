// Smoothing in place: each value becomes the mean of itself and its right neighbour. Within the block a barrier stands
// between reading and writing; the last thread's neighbour belongs to the next block, which may have written it
// already, or not. In place works only where no block needs another one's values; otherwise the result goes elsewhere.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(float* x, float*, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const float mean = i + 1 < n ? (x[i] + x[i + 1]) / 2 : 0;  // FAULT
  __syncthreads();
  if (i + 1 < n) x[i] = mean;
}

__global__ void mended(float* x, float* y, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i + 1 < n) y[i] = (x[i] + x[i + 1]) / 2;
}

}  // namespace

void neighbour_of_another_block(bool mend) {
  const DeviceArray<float> x(128), y(128);
  launch(mend ? mended : broken, 4, 32, 0, x.data(), y.data(), 128u);
}

}  // namespace broken
