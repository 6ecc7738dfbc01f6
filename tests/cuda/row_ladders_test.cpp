// Every rung of the ladders tutorials/ladders/cuda_softmax and cuda_layer_norm against the reference in float64.
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"
#include "tutorials/ladders/cuda_layer_norm/layer_norm.h"
#include "tutorials/ladders/cuda_softmax/softmax.h"

namespace gradus {
namespace {

using testing::on_device;
using testing::pointer;

struct Size {
  int64_t rows, n;
};
// One, around a warp and a block, more rows than a block has, and thousands.
const std::vector<Size> sizes = {{1, 1}, {0, 5}, {3, 31}, {140, 33}, {5, 256}, {2, 1000}, {2, 4096}, {1, 20000}};

class CudaRowLadders : public testing::OnDevice {
 protected:
  static float* data(const Tensor& x) { return static_cast<float*>(pointer(x)); }

  // What `rung` writes on the device, in front of a number that must stay.
  template <class Call>
  void expect_right(const char* rung, const Tensor& right, double allowed, const Call& call) {
    constexpr double guard = 123;
    const Tensor y = on_device(full({right.numel() + 1}, guard));
    call(data(y));
    cuda::synchronize();
    const Tensor got = testing::on_host(y);
    EXPECT_EQ(got.narrow(0, right.numel(), 1).item(), guard) << rung;
    EXPECT_EQ(testing::difference(got.narrow(0, 0, right.numel()).view(right.shape()), right, allowed), "")
        << rung << " " << to_string(right.shape());
  }
};

TEST_F(CudaRowLadders, SoftmaxEqualsTheReference) {
  manual_seed(1);
  for (const Size& s : sizes) {
    for (const double scale : {1.0, 1000.0}) {  // exp(1000) is infinite
      const Tensor x = randn({s.rows, s.n}) * scale, wide = x.to(float64), right = zeros_like(wide);
      kernels(Device::cpu, float64).softmax(pointer(wide), pointer(right), s.rows, s.n);
      const Tensor there = on_device(x);
      for (const cuda_softmax_ladder::Rung& rung : cuda_softmax_ladder::rungs)
        expect_right(rung.name, right, 4e-6, [&](float* y) { rung.softmax(s.rows, s.n, data(there), y); });
    }
  }
}

TEST_F(CudaRowLadders, LayerNormEqualsTheReference) {
  manual_seed(2);
  for (const Size& s : sizes) {
    for (const double mean : {0.0, 100.0}) {
      const Tensor x = randn({s.rows, s.n}) + mean, weight = randn({s.n}), bias = randn({s.n});
      const Tensor wide = x.to(float64), right = zeros_like(wide), means = zeros({s.rows}).to(float64);
      const Tensor rstd = zeros_like(means), w = weight.to(float64), b = bias.to(float64);
      kernels(Device::cpu, float64)
          .layer_norm(pointer(wide), pointer(w), pointer(b), double(cuda_layer_norm_ladder::eps), s.rows, s.n,
                      pointer(right), pointer(means), pointer(rstd));
      const Tensor there = on_device(x), there_w = on_device(weight), there_b = on_device(bias);
      // 100 itself is rounded to 2^-18, and the naive rung adds up 20000 numbers one after the other.
      const double allowed = mean == 0 ? 4e-6 : 2e-4;
      for (const cuda_layer_norm_ladder::Rung& rung : cuda_layer_norm_ladder::rungs)
        expect_right(rung.name, right, allowed,
                     [&](float* y) { rung.layer_norm(s.rows, s.n, data(there), data(there_w), data(there_b), y); });
    }
  }
}

}  // namespace
}  // namespace gradus
