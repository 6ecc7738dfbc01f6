// "The threads of a warp run in lockstep, so within a warp no barrier is needed." That was so until 2017. Since Volta
// each thread has a program counter of its own, and the compiler may order what it likes; what one lane writes another
// one sees after __syncwarp, and not before. Here two are needed: before the neighbour's value is read, and after.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(float* x) {
  SIMT_SHARED(float, value, [32]);
  const unsigned lane = threadIdx.x;
  value[lane] = x[lane];
  x[lane] = value[lane ^ 1];  // FAULT
}

__global__ void mended(float* x) {
  SIMT_SHARED(float, value, [32]);
  const unsigned lane = threadIdx.x;
  value[lane] = x[lane];
  __syncwarp();
  x[lane] = value[lane ^ 1];
}

}  // namespace

void missing_syncwarp(bool mend) {
  const DeviceArray<float> x(32);
  launch(mend ? mended : broken, 1, 32, 0, x.data());
}

}  // namespace broken
