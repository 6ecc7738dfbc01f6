// Every rung of the ladder tutorials/ladders/cuda_attention against the reference in float64.
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"
#include "tutorials/ladders/cuda_attention/attention.h"

namespace gradus {
namespace {

using cuda_attention_ladder::Problem;

class CudaAttentionLadder : public testing::OnDevice {};

TEST_F(CudaAttentionLadder, EveryRungEqualsTheReference) {
  struct Size {
    int64_t heads, n, d;
    float scale;
  };
  // One, around tiles (32, 64 and 128), and scores of some thousands, whose exponentials are infinite.
  for (const Size& s : {Size{1, 1, 8, 1}, Size{2, 33, 64, 0.3f}, Size{1, 70, 128, 0.1f}, Size{3, 129, 24, 0.2f},
                        Size{1, 40, 64, 100}})
    for (const bool causal : {false, true}) {
      manual_seed(5);
      const auto numbers = [&] { return randn({1, s.heads, s.n, s.d}).to(bfloat16); };
      const Tensor q = numbers(), k = numbers(), v = numbers();
      const Tensor q_right = q.to(float64), k_right = k.to(float64), v_right = v.to(float64);
      const Tensor right = zeros(q.shape()).to(float64), log_sum = zeros({s.heads, s.n}).to(float64);
      kernels(Device::cpu, float64)
          .attention({.q = q_right.raw(),
                      .k = k_right.raw(),
                      .v = v_right.raw(),
                      .output = right.raw(),
                      .log_sum = log_sum.raw().data,
                      .causal = causal,
                      .scale = double(s.scale)});
      const Tensor on_q = testing::on_device(q), on_k = testing::on_device(k), on_v = testing::on_device(v);
      for (const cuda_attention_ladder::Rung& rung : cuda_attention_ladder::rungs) {
        constexpr double guard = 123;
        const Tensor output = testing::on_device(full({q.numel() + 1}, guard).to(bfloat16));
        const auto data = [](const Tensor& x) { return static_cast<BFloat16*>(testing::pointer(x)); };
        rung.attend(Problem{s.heads, s.n, s.d, data(on_q), data(on_k), data(on_v), data(output), s.scale, causal});
        cuda::synchronize();
        const Tensor got = testing::on_host(output);
        EXPECT_EQ(got.narrow(0, q.numel(), 1).to(float64).item(), guard) << rung.name;
        // Results are rounded to 8 bits, and so are the last rung's weights.
        EXPECT_EQ(testing::difference(got.narrow(0, 0, q.numel()).view(q.shape()), right, 0x1p-7), "")
            << rung.name << ", " << s.heads << " heads of " << s.n << " x " << s.d << ", causal " << causal;
      }
    }
}

}  // namespace
}  // namespace gradus
