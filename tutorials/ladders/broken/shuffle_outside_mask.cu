// The first twenty lanes hand their values down by one. The mask says honestly who takes part, twenty lanes; but the
// last of them asks lane 20, which is elsewhere. What comes back is undefined. That a lane does not use the result does
// not help a reader of the code, nor whoever changes it next: ask only those who take part.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(float* x) {
  const unsigned lane = threadIdx.x;
  if (lane < 20) {
    const float next = __shfl_down_sync(0x000fffffu, x[lane], 1);  // FAULT
    x[lane] += next;
  }
}

__global__ void mended(float* x) {
  const int lane = int(threadIdx.x);
  if (lane < 20) {
    const float next = __shfl_sync(0x000fffffu, x[lane], lane < 19 ? lane + 1 : lane);
    if (lane < 19) x[lane] += next;
  }
}

}  // namespace

void shuffle_outside_mask(bool mend) {
  const DeviceArray<float> x(32);
  launch(mend ? mended : broken, 1, 32, 0, x.data());
}

}  // namespace broken
