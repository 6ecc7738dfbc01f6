// Tests of the device cuda: each compares what its kernels give with the reference's, on whatever this build's device
// is: a GPU or the emulator.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "autograd/autograd.h"
#include "autograd/ops.h"
#include "tensor/kernels/table.h"
#include "tests/isas.h"

namespace gradus::testing {

inline Tensor on_device(const Tensor& x) { return x.detach().to(Device::cuda); }
inline Tensor on_host(const Tensor& x) { return x.detach().to(Device::cpu); }

// The device's table; the reference's, whose results are exact to the last rounding.
inline const KernelTable& device_kernels(DType dtype) { return kernels(Device::cuda, dtype); }

// A test with this fixture is skipped where there is no device, and has the reference for the CPU's backend.
class OnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!is_available(Device::cuda)) GTEST_SKIP() << "device cuda: " << describe(Device::cuda);
    set_isa("reference");
  }

 private:
  const BackendGuard guard_{};
};

// "" if |a - b| <= absolute + relative max |b| everywhere; NaN and infinities must agree exactly.
inline std::string difference(const Tensor& a, const Tensor& b, double relative, double absolute = 0) {
  if (a.shape() != b.shape()) return "shape " + to_string(a.shape()) + ", expected " + to_string(b.shape());
  const std::vector<double> x = on_host(a).to(float64).to_vector(), y = on_host(b).to(float64).to_vector();
  double largest = 0;
  for (double v : y)
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  const double allowed = absolute + relative * largest;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool same = std::isfinite(y[i]) ? std::abs(x[i] - y[i]) <= allowed
                      : std::isnan(y[i])  ? std::isnan(x[i])
                                          : x[i] == y[i];
    if (!same)
      return "element " + std::to_string(i) + " of " + to_string(a.shape()) + " is " + std::to_string(x[i]) +
             ", expected " + std::to_string(y[i]) + " within " + std::to_string(allowed);
  }
  return "";
}

// For kernels that take bare pointers: where a contiguous tensor's elements are, on its device.
inline void* pointer(const Tensor& x) { return x.defined() ? x.raw().data : nullptr; }

}  // namespace gradus::testing
