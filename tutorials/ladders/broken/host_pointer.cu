// A pointer is a pointer, says the compiler, and passes the host's along. The device has memory of its own, and finds
// nothing at that address. In C++ the two kinds look alike; a type that owns device memory and gives out nothing but
// device pointers, as in the mended run, keeps them apart.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {
namespace {

__global__ void twice(const float* x, float* y) {
  y[threadIdx.x] = 2 * x[threadIdx.x];  // FAULT
}

}  // namespace

void host_pointer(bool mend) {
  const std::vector<float> on_host(32, 1.0f);
  const DeviceArray<float> x(32), y(32);
  launch(twice, 1, 32, 0, mend ? x.data() : on_host.data(), y.data());
}

}  // namespace broken
