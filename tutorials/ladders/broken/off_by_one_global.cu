// Differences of neighbours: n values have n - 1 of them. The last thread reads one value too many. A GPU's memory is
// given out in large pieces, so the read goes to somebody else's numbers and succeeds, and the result is wrong only
// sometimes.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* y, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i + 1] - x[i];  // FAULT
}

__global__ void mended(const float* x, float* y, unsigned n) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i + 1 < n) y[i] = x[i + 1] - x[i];
}

}  // namespace

void off_by_one_global(bool mend) {
  const DeviceArray<float> x(100), y(100);
  launch(mend ? mended : broken, 4, 32, 0, x.data(), y.data(), 100u);
}

}  // namespace broken
