// A tile goes round: fill it, wait, read it, fill it again. The barrier after the filling is hard to forget, since
// without it nothing works. The one after the reading is as needed: a fast warp fills the next tile while a slow one
// still reads this one. Two barriers a round, or two tiles in turn.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* y) {
  SIMT_SHARED(float, tile, [64]);
  const unsigned t = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 4; ++round) {
    tile[t] = x[round * 64 + t];  // FAULT
    __syncthreads();
    sum += tile[63 - t];
  }
  y[t] = sum;
}

__global__ void mended(const float* x, float* y) {
  SIMT_SHARED(float, tile, [64]);
  const unsigned t = threadIdx.x;
  float sum = 0;
  for (int round = 0; round < 4; ++round) {
    tile[t] = x[round * 64 + t];
    __syncthreads();
    sum += tile[63 - t];
    __syncthreads();
  }
  y[t] = sum;
}

}  // namespace

void missing_second_barrier(bool mend) {
  const DeviceArray<float> x(256), y(64);
  launch(mend ? mended : broken, 1, 64, 0, x.data(), y.data());
}

}  // namespace broken
