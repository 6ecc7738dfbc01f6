// A barrier inside of an `if` that not all threads of the block enter. Those inside wait at the first barrier, the
// others walk on and wait at the next one, and each group takes the other for its own: on some hardware the kernel
// hangs, on other hardware both go on, out of step by one barrier. Barriers stand where every thread comes by.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* y, unsigned n) {
  SIMT_SHARED(float, tile, [96]);
  const unsigned t = threadIdx.x;
  if (t < n) {
    tile[t] = x[t];
    __syncthreads();  // FAULT
    y[t] = tile[n - 1 - t];
  }
  __syncthreads();
  tile[t] = 0;
}

__global__ void mended(const float* x, float* y, unsigned n) {
  SIMT_SHARED(float, tile, [96]);
  const unsigned t = threadIdx.x;
  if (t < n) tile[t] = x[t];
  __syncthreads();
  if (t < n) y[t] = tile[n - 1 - t];
  __syncthreads();
  tile[t] = 0;
}

}  // namespace

void divergent_barrier(bool mend) {
  const DeviceArray<float> x(64), y(64);
  launch(mend ? mended : broken, 1, 96, 0, x.data(), y.data(), 64u);
}

}  // namespace broken
