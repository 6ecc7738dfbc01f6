// The packed form that linear keeps of a weight: no bit of a result may depend on it, whatever becomes of the weight.
#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tests/isas.h"

namespace gradus {
namespace {

struct PackedWeights : testing::EachIsa {
  Tensor x = randn({33, 130}), w = randn({150, 130}).requires_grad_(), b = randn({150});

  ~PackedWeights() override { set_keep_packed_weights(true); }
  // Whether linear gives what it gives for a weight that it never saw.
  void expect_fresh(const Tensor& y) const {
    const Tensor expected = linear(x, w.detach().clone(), b);
    const size_t bytes = size_t(y.numel()) * sizeof(float);
    EXPECT_EQ(std::memcmp(y.raw().data, expected.raw().data, bytes), 0);
  }
  void use(int times = 3) const {
    for (int i = 0; i < times; ++i) expect_fresh(linear(x, w, b));
  }
  static int64_t live() { return memory_stats().live; }
};

constexpr int64_t packed_bytes = packed_size(130, 150) * int64_t(sizeof(float));

TEST_P(PackedWeights, AreKeptFromTheSecondUseOn) {
  use(1);
  const int64_t before = live();
  use(1);
  EXPECT_GE(live() - before, packed_bytes);
  const int64_t with = live();
  use(3);
  EXPECT_EQ(live(), with);
  linear(x, w, b).sum().backward();
  w.zero_grad();
  EXPECT_EQ(live(), with);
  w = Tensor();
  EXPECT_LE(live(), with - packed_bytes);
}

TEST_P(PackedWeights, FollowEveryChange) {
  use();
  const int64_t with = live();
  {
    NoGrad guard;
    w.mul_(0.5);
  }
  use(1);
  EXPECT_LE(live(), with - packed_bytes);  // what no longer holds goes at the next use
  use();
  {
    NoGrad guard;
    w.narrow(0, 3, 5).zero_();  // through a view
  }
  use();
  w.storage()->replace(std::move(*randn({150, 130}).storage()));
  use();
  w.data<float>()[7] = 100;
  use();
  float* pointer = w.data<float>();
  use();
  pointer[8] = -100;
  use();
}

TEST_P(PackedWeights, FollowTheBackend) {
  use();
  set_isa("reference");
  use();
  set_isa(GetParam());
  use();
}

TEST_P(PackedWeights, OnlyLeavesHaveThem) {
  const Tensor temporary = randn({150, 130});
  linear(x, temporary, b);
  const int64_t before = live();
  for (int i = 0; i < 3; ++i) linear(x, temporary, b);
  const Tensor result = w * 2;
  const int64_t with_result = live();
  for (int i = 0; i < 3; ++i) linear(x.detach(), result.detach(), b);
  EXPECT_EQ(live(), with_result);
  EXPECT_LT(live() - before, packed_bytes + 150 * 130 * int64_t(sizeof(float)));
}

TEST_P(PackedWeights, CanBeSwitchedOff) {
  set_keep_packed_weights(false);
  use(1);
  const int64_t before = live();
  use();
  EXPECT_EQ(live(), before);
}

TEST_P(PackedWeights, ServeThreadsAtATime) {
  const Tensor expected = linear(x, w.detach().clone(), b);
  for (int round = 0; round < 20; ++round) {
    {
      NoGrad guard;
      w.copy_(w.detach().clone());  // the same numbers, packed anew
    }
    std::vector<std::thread> threads;
    std::vector<char> same(4);
    for (size_t t = 0; t < same.size(); ++t)
      threads.emplace_back([&, t] {
        bool all = true;
        for (int i = 0; i < 5; ++i) {
          const Tensor y = linear(x, w, b);
          all &= std::memcmp(y.raw().data, expected.raw().data, size_t(y.numel()) * sizeof(float)) == 0;
        }
        same[t] = all;
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(same, std::vector<char>(4, 1)) << round;
  }
}

GRADUS_EACH_ISA(PackedWeights);

}  // namespace
}  // namespace gradus
