// How many values are positive? Each thread that has one increases the counter. `++count` is three steps, read, add and
// write, and 64 threads do them at once: of 64 increases a few are left. Within a block the count of a barrier's votes
// needs no counter at all (__syncthreads_count); atomicAdd always works.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, int* result) {
  SIMT_SHARED(int, count, );
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (x[threadIdx.x] >= 0) ++count;  // FAULT
  __syncthreads();
  if (threadIdx.x == 0) *result = count;
}

__global__ void mended(const float* x, int* result) {
  SIMT_SHARED(int, count, );
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  if (x[threadIdx.x] >= 0) atomicAdd(&count, 1);
  __syncthreads();
  if (threadIdx.x == 0) *result = count;
}

}  // namespace

void counter_without_atomic(bool mend) {
  const DeviceArray<float> x(64);
  const DeviceArray<int> result(1);
  launch(mend ? mended : broken, 1, 64, 0, x.data(), result.data());
}

}  // namespace broken
