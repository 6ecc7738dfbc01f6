// A sum by halves: in each step the lower half of the threads adds what the upper half has. But who says that the upper
// half is there already? The warps of a block run in any order, and one may be a step ahead. Wherever a thread reads
// what another one wrote, a barrier must stand between the two, here after each step. With one warp the mistake hardly
// ever shows, and on the machine of its author it never did.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* sum) {
  SIMT_SHARED(float, part, [128]);
  const unsigned t = threadIdx.x;
  part[t] = x[t];
  for (unsigned half = 64; half > 0; half /= 2)
    if (t < half) part[t] += part[t + half];  // FAULT
  if (t == 0) *sum = part[0];
}

__global__ void mended(const float* x, float* sum) {
  SIMT_SHARED(float, part, [128]);
  const unsigned t = threadIdx.x;
  part[t] = x[t];
  for (unsigned half = 64; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) part[t] += part[t + half];
  }
  if (t == 0) *sum = part[0];
}

}  // namespace

void missing_barrier(bool mend) {
  const DeviceArray<float> x(128), sum(1);
  launch(mend ? mended : broken, 1, 128, 0, x.data(), sum.data());
}

}  // namespace broken
