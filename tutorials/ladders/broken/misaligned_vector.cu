// One load of 16 bytes instead of four of 4 is the cheapest speed-up there is, where the address is a multiple of 16.
// An allocation begins at one, the second row of a matrix with 33 columns does not, and there the kernel dies. Vectors
// are for rows that begin right, which a launcher can test; others take the slow way.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void broken(const float* x, float* y, unsigned columns) {
  const float4 v = reinterpret_cast<const float4*>(x + blockIdx.x * columns)[threadIdx.x];  // FAULT
  y[blockIdx.x * 8 + threadIdx.x] = v.x + v.y + v.z + v.w;
}

__global__ void mended(const float* x, float* y, unsigned columns) {
  const float* row = x + blockIdx.x * columns + 4 * threadIdx.x;
  float4 v;
  if (columns % 4 == 0)
    v = *reinterpret_cast<const float4*>(row);
  else
    v = make_float4(row[0], row[1], row[2], row[3]);
  y[blockIdx.x * 8 + threadIdx.x] = v.x + v.y + v.z + v.w;
}

}  // namespace

void misaligned_vector(bool mend) {
  const DeviceArray<float> x(4 * 33), y(4 * 8);
  launch(mend ? mended : broken, 4, 8, 0, x.data(), y.data(), 33u);
}

}  // namespace broken
