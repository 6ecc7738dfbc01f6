// A stencil wants a border on either side of the tile: 64 values and 2 more. The tile has room for one of them. What
// lies behind it is the next array of the block, or nothing; the hardware does not look.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* y) {
  SIMT_SHARED(float, tile, [65]);
  const unsigned t = threadIdx.x;
  tile[t + 1] = x[t + 1];
  if (t == 0) tile[0] = x[0];
  if (t == 63) tile[t + 2] = x[t + 2];  // FAULT
  __syncthreads();
  y[t] = tile[t] + tile[t + 1] + tile[t + 2];
}

__global__ void mended(const float* x, float* y) {
  SIMT_SHARED(float, tile, [66]);
  const unsigned t = threadIdx.x;
  tile[t + 1] = x[t + 1];
  if (t == 0) tile[0] = x[0];
  if (t == 63) tile[t + 2] = x[t + 2];
  __syncthreads();
  y[t] = tile[t] + tile[t + 1] + tile[t + 2];
}

}  // namespace

void off_by_one_shared(bool mend) {
  const DeviceArray<float> x(66), y(64);
  launch(mend ? mended : broken, 1, 64, 0, x.data(), y.data());
}

}  // namespace broken
