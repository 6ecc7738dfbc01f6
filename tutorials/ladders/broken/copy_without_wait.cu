// cp.async copies to shared memory while the thread goes on. Committing a group only closes it; the bytes are there
// after a wait, and for the other threads after a barrier behind that wait. A barrier alone waits for threads, not for
// copies.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* y) {
  SIMT_SHARED(float, tile, [256]);
  const unsigned t = threadIdx.x;
  simt::cp_async<16>(tile + 4 * t, x + 4 * t);
  simt::cp_async_commit();
  __syncthreads();
  y[t] = tile[255 - 4 * t];  // FAULT
  simt::cp_async_wait<0>();
}

__global__ void mended(const float* x, float* y) {
  SIMT_SHARED(float, tile, [256]);
  const unsigned t = threadIdx.x;
  simt::cp_async<16>(tile + 4 * t, x + 4 * t);
  simt::cp_async_commit();
  simt::cp_async_wait<0>();
  __syncthreads();
  y[t] = tile[255 - 4 * t];
}

}  // namespace

void copy_without_wait(bool mend) {
  const DeviceArray<float> x(256), y(64);
  launch(mend ? mended : broken, 1, 64, 0, x.data(), y.data());
}

}  // namespace broken
