// A histogram counts in shared memory, from zero. But shared memory is not zero: it holds what the last block on the
// multiprocessor left there, often one's own counts of the run before, and after a restart often zeros, so that the
// mistake hides in tests. Whoever counts clears first, and waits.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const int* x, int* counts) {
  SIMT_SHARED(int, bins, [8]);
  const unsigned t = threadIdx.x;
  atomicAdd(&bins[x[t] & 7], 1);
  __syncthreads();
  if (t < 8) counts[t] = bins[t];  // FAULT
}

__global__ void mended(const int* x, int* counts) {
  SIMT_SHARED(int, bins, [8]);
  const unsigned t = threadIdx.x;
  if (t < 8) bins[t] = 0;
  __syncthreads();
  atomicAdd(&bins[x[t] & 7], 1);
  __syncthreads();
  if (t < 8) counts[t] = bins[t];
}

}  // namespace

void uninitialised_shared(bool mend) {
  const DeviceArray<int> x(64), counts(8);
  launch(mend ? mended : broken, 1, 64, 0, x.data(), counts.data());
}

}  // namespace broken
