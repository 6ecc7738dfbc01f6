// The optimisers' steps on the device against the reference's.
#include <random>
#include <vector>

#include "tests/cuda/device.h"

namespace gradus::testing {
namespace {

class DeviceOptimisers : public OnDevice {};

// A parameter, its gradient and up to three states, the same on the host and on the device.
struct Arrays {
  std::vector<Tensor> host, device;
  Arrays(int64_t n, DType dtype, int64_t skipped) {
    std::mt19937 random(5);
    for (int k = 0; k < 5; ++k) {
      std::vector<double> values(size_t(n + 1));
      // States are never negative, and large enough for the root of what a mean of squares has above the square of it.
      for (double& v : values)
        v = double(random()) / 4294967296.0 * (k == 3 ? 0.5 : 2) + (k < 2 ? -1 : k == 2 ? 2 : 0);
      const Tensor x = from_vector(values, {n + 1}).to(dtype);
      host.push_back(x.narrow(0, skipped, n));
      device.push_back(on_device(x).narrow(0, skipped, n));
    }
  }
};

// Runs f(table, p, g, states ...) for both; `used` states are there, the others null. Then all must be alike.
template <class F>
void expect_same_step(int used, const F& f) {
  for (const DType dtype : {float32, float64}) {
    for (const int64_t n : {0, 1, 3, 4, 1023, 5000}) {
      for (const int64_t skipped : {0, 1}) {
        const Arrays arrays(n, dtype, skipped);
        for (const auto* side : {&arrays.host, &arrays.device}) {
          std::vector<void*> at;
          for (int k = 0; k < 5; ++k) at.push_back(k < 2 + used ? (*side)[size_t(k)].raw().data : nullptr);
          f(side == &arrays.host ? kernels(Device::cpu, dtype) : device_kernels(dtype), n, at);
        }
        for (size_t k = 0; k < 5; ++k) {
          EXPECT_EQ(difference(arrays.device[k], arrays.host[k], dtype == float32 ? 4e-7 : 1e-15), "")
              << to_string(dtype) << ", " << n << " from " << skipped << ", array " << k;
        }
      }
    }
  }
}

TEST_F(DeviceOptimisers, Sgd) {
  for (const double momentum : {0.0, 0.9}) {
    for (const bool nesterov : {false, true}) {
      for (const bool first : {false, true}) {
        const SgdStep o{0.1, momentum, nesterov ? 0 : 0.2, 0.01, nesterov, first};
        expect_same_step(momentum != 0, [&](const KernelTable& table, int64_t n, const std::vector<void*>& a) {
          table.sgd_step(o, n, a[0], a[1], a[2]);
        });
      }
    }
  }
}

TEST_F(DeviceOptimisers, Adam) {
  for (const bool decoupled : {false, true}) {
    for (const int64_t step : {1, 1000}) {
      const AdamStep o{1e-2, 0.9, 0.999, 1e-8, 0.05, decoupled, step};
      expect_same_step(2, [&](const KernelTable& table, int64_t n, const std::vector<void*>& a) {
        table.adam_step(o, n, a[0], a[1], a[2], a[3]);
      });
    }
  }
}

TEST_F(DeviceOptimisers, Rmsprop) {
  for (const double momentum : {0.0, 0.9}) {
    for (const bool centered : {false, true}) {
      const RmspropStep o{1e-2, 0.99, 1e-8, 0.05, momentum, centered};
      expect_same_step(3, [&](const KernelTable& table, int64_t n, const std::vector<void*>& a) {
        table.rmsprop_step(o, n, a[0], a[1], a[2], centered ? a[3] : nullptr, momentum != 0 ? a[4] : nullptr);
      });
    }
  }
}

TEST_F(DeviceOptimisers, Adagrad) {
  const AdagradStep o{1e-2, 0.1, 1e-10, 0.05, 7};
  expect_same_step(1, [&](const KernelTable& table, int64_t n, const std::vector<void*>& a) {
    table.adagrad_step(o, n, a[0], a[1], a[2]);
  });
}

}  // namespace
}  // namespace gradus::testing
