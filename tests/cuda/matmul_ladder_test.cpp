// Every rung of the ladder tutorials/ladders/cuda_matmul against the reference in float64.
#include <random>
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus {
namespace {

class CudaMatmulLadder : public testing::OnDevice {};

TEST_F(CudaMatmulLadder, EveryRungEqualsReference) {
  constexpr float guard = 12345;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto numbers = [&](int64_t count) {
    std::vector<float> v(size_t(count), 0);
    for (float& x : v) x = normal(random);
    return from_vector(v, {count});
  };
  struct Size {
    int64_t m, n, k;
  };
  // One, around tiles (8, 32 and 128), with rows of 16 bytes each or not, and nothing.
  for (const Size& s : {Size{1, 1, 1}, Size{33, 31, 9}, Size{5, 64, 40}, Size{129, 130, 17}, Size{127, 132, 36},
                        Size{40, 7, 100}, Size{20, 24, 0}, Size{0, 9, 4}}) {
    const Tensor a = numbers(s.m * s.k), b = numbers(s.k * s.n);
    const auto product = [&](const Tensor& x, const Tensor& y) {
      Tensor c = zeros({s.m, s.n}).to(float64);
      kernels(Device::cpu, float64)
          .matmul({.a = {x.raw().data, 3, {1, s.m, s.k}, {0, s.k, 1}},
                   .b = {y.raw().data, 3, {1, s.k, s.n}, {0, s.n, 1}},
                   .c = {c.raw().data, 3, {1, s.m, s.n}, {0, s.n, 1}}});
      return c.to_vector();
    };
    const std::vector<double> right = product(a.to(float64), b.to(float64));
    const std::vector<double> size = product(abs(a).to(float64), abs(b).to(float64));
    const Tensor on_a = testing::on_device(a), on_b = testing::on_device(b);
    for (const cuda_ladder::Rung& rung : cuda_ladder::rungs) {
      const Tensor c = testing::on_device(full({s.m * s.n + 1}, guard));
      rung.gemm(s.m, s.n, s.k, static_cast<float*>(testing::pointer(on_a)),
                static_cast<float*>(testing::pointer(on_b)), static_cast<float*>(testing::pointer(c)));
      cuda::synchronize();
      const std::vector<double> got = testing::on_host(c).to(float64).to_vector();
      ASSERT_EQ(got.back(), guard) << rung.name;
      // A sum of k products rounds k times; factors may have been rounded before.
      const double each = double(s.k) * 0x1p-24 + 2.1 * rung.factor_error;
      for (size_t i = 0; i < right.size(); ++i)
        ASSERT_TRUE(std::abs(got[i] - right[i]) <= each * size[i])
            << rung.name << ": element " << i << " of " << s.m << " x " << s.n << " x " << s.k << " is " << got[i]
            << ", expected " << right[i];
    }
  }
}

}  // namespace
}  // namespace gradus
