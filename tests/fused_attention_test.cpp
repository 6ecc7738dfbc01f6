// Attention in one kernel: every instruction set against the reference, and all of it against the form composed of
// ops with gradients of their own. Shapes, masks and layouts are drawn at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tensor/allocator.h"
#include "tests/errors.h"
#include "tests/isas.h"
#include "tests/sanitized.h"

namespace gradus {
namespace {

double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return INFINITY;
  return a.numel() == 0 ? 0 : abs(a.to(float64) - b.to(float64)).max().item();
}
#define EXPECT_CLOSE(a, b, tolerance) EXPECT_FALSE(!(difference(a, b) <= tolerance)) << difference(a, b)

// A call: inputs as they lie, and how they are attended to.
struct Sample {
  Tensor q, k, v, g;
  AttentionOptions options;
  std::string text;
};

// Heads of a projection: (batch, n, heads * d) seen as (batch, heads, n, d).
Tensor heads_of(const Tensor& x, int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(1, 2);
}

Sample draw(Generator& random) {
  const auto below = [&](int64_t n) { return random.below(n); };
  const auto pick = [&](std::vector<int64_t> from) { return from[size_t(below(int64_t(from.size())))]; };
  const int64_t batch = 1 + below(3), kv_heads = 1 + below(3), heads = kv_heads * (1 + below(2));
  const int64_t d = pick({1, 3, 8, 16, 17, 32, 64}), d_value = pick({1, 5, 16, 32, 33});
  const int64_t queries = pick({1, 2, 5, 8, 9, 25, 64, 65, 130}), kind = below(4);
  const bool causal = below(2) > 0;
  const int64_t keys = causal ? queries + pick({0, 0, 1, 70}) : pick({1, 3, 16, 25, 64, 67, 200});
  Sample s;
  const bool packed = below(2) > 0 && d == d_value && keys == queries;
  if (packed) {  // one product made all three
    const Tensor all = randn({batch, keys, (heads + 2 * kv_heads) * d});
    const std::vector<Tensor> parts = all.split(Dims{heads * d, kv_heads * d, kv_heads * d}, -1);
    s.q = heads_of(parts[0], heads), s.k = heads_of(parts[1], kv_heads), s.v = heads_of(parts[2], kv_heads);
  } else {
    s.q = randn({batch, heads, queries, d});
    s.k = randn({batch, kv_heads, keys, d});
    s.v = randn({batch, kv_heads, keys, d_value});
  }
  s.g = randn({batch, heads, queries, d_value});
  if (kind == 1) s.options.keep = KeepMask(rand({batch, 1, 1, keys}) < 0.7);
  if (kind == 2) s.options.keep = KeepMask(rand({batch, heads, queries, keys}) < 0.5);
  if (kind == 3) s.options.keep = KeepMask((rand({keys, queries}) < 0.2).transpose(0, 1));  // rows that keep nothing
  if (below(3) == 0) s.options.bias = randn({heads, queries, keys});
  if (below(4) == 0) s.options.bias = randn({queries, 1});
  s.options.is_causal = causal;
  if (below(3) == 0) s.options.dropout = 0.3;
  if (below(3) == 0) s.options.scale = 0.4;
  for (int64_t n : {batch, heads, kv_heads, queries, keys, d, d_value, kind, int64_t(causal), int64_t(packed)})
    s.text += std::to_string(n) + " ";
  return s;
}

// The output and the gradients of q, k and v, dropout's numbers being the same in every call.
using Attend = Tensor (*)(const Tensor&, const Tensor&, const Tensor&, const AttentionOptions&);
std::vector<Tensor> run(Attend attend, const Sample& s) {
  manual_seed(5);
  const Tensor q = s.q.detach().requires_grad_(), k = s.k.detach().requires_grad_(),
               v = s.v.detach().requires_grad_();
  const Tensor y = attend(q, k, v, s.options);
  std::vector<Tensor> all = grad({y}, {q, k, v}, {.grad_outputs = {s.g}});
  all.push_back(y.detach());
  return all;
}

Tensor fused(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  return scaled_dot_product_attention(q, k, v, o);
}
Tensor composed(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  return attend(q, k, v, o).output;
}

class FusedAttention : public testing::EachIsa {};

TEST_P(FusedAttention, EqualsTheReferenceAndTheComposedForm) {
  Generator random(11);
  for (int i = 0; i < 200; ++i) {
    manual_seed(uint64_t(i));
    const Sample s = draw(random);
    SCOPED_TRACE(s.text);
    const std::vector<Tensor> got = run(fused, s), right = reference([&] { return run(fused, s); }),
                              other = run(composed, s);
    double size = 1;  // what cancels in one gradient is as large as the others
    for (const Tensor& x : right) size = std::max(size, abs(x).max().item());
    for (size_t j = 0; j < got.size(); ++j) {
      EXPECT_CLOSE(got[j], right[j], 3e-6 * size) << " of " << j;
      EXPECT_CLOSE(got[j], other[j], 1e-5 * size) << " of " << j;
    }
  }
}

TEST_P(FusedAttention, NothingOfAnything) {
  for (const auto& [queries, keys, d] :
       std::vector<std::array<int64_t, 3>>{{3, 0, 4}, {40, 0, 4}, {0, 3, 4}, {0, 0, 2}}) {
    Sample s{
        randn({2, 2, queries, d}), randn({2, 2, keys, d}), randn({2, 2, keys, d}), randn({2, 2, queries, d}), {}, ""};
    for (const Tensor& x : run(fused, s)) EXPECT_CLOSE(x, zeros(x.shape()), 0);
  }
}

TEST_P(FusedAttention, NaNStaysWhereItIsSeen) {
  const int64_t n = 70;
  Tensor q = randn({1, 1, n, 8}), k = randn({1, 1, n, 8}), v = randn({1, 1, n, 8});
  k.narrow(2, 50, 1).fill_(NAN);
  const Tensor y = scaled_dot_product_attention(q, k, v, {.is_causal = true});
  EXPECT_EQ(isnan(y.narrow(2, 0, 50)).to(float32).sum().item(), 0);
  EXPECT_EQ(isnan(y.narrow(2, 50, 20)).to(float32).sum().item(), 20 * 8);
  EXPECT_EQ(isnan(scaled_dot_product_attention(q.narrow(2, 0, 1), k, v)).to(float32).sum().item(), 8);
}

TEST_P(FusedAttention, SameBitsForAnyNumberOfThreads) {
  for (const auto& [batch, heads, n] : std::vector<std::array<int64_t, 3>>{{8, 4, 25}, {1, 2, 700}, {3, 8, 1}}) {
    manual_seed(3);
    Sample s{randn({batch, heads, n, 32}), randn({batch, 2, 700, 32}), randn({batch, 2, 700, 32}),
             randn({batch, heads, n, 32}), {.dropout = 0.1},           ""};
    set_num_threads(1);
    const std::vector<Tensor> one = run(fused, s);
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      const std::vector<Tensor> more = run(fused, s);
      for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(equal(one[i], more[i])) << i << " with " << threads;
    }
  }
}

GRADUS_EACH_ISA(FusedAttention);

// A call with its gradients, and the bytes beyond those at the start that it needs.
struct Measured {
  std::vector<Tensor> results;
  int64_t bytes;
};
Measured measure(Attend attend, const Sample& s) {
  reset_peak_memory();
  const int64_t before = memory_stats().live;
  Measured m{run(attend, s), 0};
  m.bytes = memory_stats().peak - before;
  return m;
}

#ifdef __OPTIMIZE__
constexpr bool slow = testing::sanitized;
#else
constexpr bool slow = true;
#endif

// At 4096 places and 8 heads of 64, less than a twentieth of what matrices of scores take; at fewer places the share
// grows in proportion. Slow builds look at fewer.
TEST(AttentionMemory, IsLinearInTheLength) {
  const auto sample = [](int64_t n, bool causal) {
    return Sample{randn({1, 8, n, 64}), randn({1, 8, n, 64}),  randn({1, 8, n, 64}),
                  randn({1, 8, n, 64}), {.is_causal = causal}, ""};
  };
  const int64_t n = slow ? 512 : 4096;
  const Sample s = sample(n, false);
  const Measured one = measure(fused, s), other = measure(composed, s);
  EXPECT_LT(double(one.bytes) * 20 * double(n) / 4096, double(other.bytes));
  for (size_t i = 0; i < one.results.size(); ++i) EXPECT_CLOSE(one.results[i], other.results[i], 1e-5);
  if (slow) return;  // few places are one block, which needs less than its share
  EXPECT_LT(measure(fused, sample(n, true)).bytes, 2.1 * double(measure(fused, sample(n / 2, true)).bytes));
}

TEST(Attention, SaysWhatDoesNotFit) {
  const Tensor x = randn({1, 2, 3, 4});
  EXPECT_NE(testing::error_of([&] { return fused(x, x.narrow(2, 0, 2), x.narrow(2, 0, 2), {.is_causal = true}); }),
            "");
  EXPECT_NE(testing::error_of([&] { return fused(x, x, x, {.dropout = 1.5}); }), "");
  EXPECT_NE(testing::error_of([&] { return fused(x, x.narrow(3, 0, 2), x, {}); }), "");
}

}  // namespace
}  // namespace gradus
