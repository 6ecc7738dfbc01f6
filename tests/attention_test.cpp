// Every form of attention: beside PyTorch's values, and beside its definition computed one number after another.
#include "tutorials/attention_forms/attention_forms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nn/positions.h"
#include "tests/golden.h"

namespace gradus::nn {
namespace {

using attention_forms::HardAttention;
using attention_forms::LocalAttention;
using attention_forms::LowRankAttention;
using gradus::testing::Golden;

// --- golden values -------------------------------------------------------------------------------------------------

TEST(AttentionForms, ScoresEqualPyTorch) {
  struct Case {
    const char* name;
    int64_t memory;
    ScoredAttentionOptions options;
  };
  for (const Case& c : {Case{"scored_dot", 4, {.score = Score::dot}},
                        {"scored_scaled_dot", 4, {.score = Score::scaled_dot}},
                        {"scored_general", 6, {.score = Score::general}},
                        {"scored_additive", 6, {.score = Score::additive, .hidden = 3}},
                        {"scored_coverage", 6, {.score = Score::additive, .hidden = 3, .coverage = true}}}) {
    SCOPED_TRACE(c.name);
    for (const bool prepared : {false, true}) {
      Golden g(c.name);
      ScoredAttention m = g.load(ScoredAttention(4, c.memory, c.options));
      const Tensor query = g.in("query"), memory = g.in("memory");
      const KeepMask keep{DropMask(g.in("drop").unsqueeze(1))};
      const Attended a = m(query, memory, keep, prepared ? m.prepare(memory) : Tensor(),
                           c.options.coverage ? g.in("coverage") : Tensor());
      g.expect(m, {{"output", a.output}, {"weights", a.weights}});
    }
  }
}

TEST(AttentionForms, LocalEqualsItsFormula) {
  Golden g("local");
  LocalAttention m = g.load(LocalAttention(4, 6, 2));
  const Tensor query = g.in("query"), memory = g.in("memory");
  const Attended a = m(query, memory, g.in("lengths"));
  EXPECT_TRUE((a.weights == 0.0).any().item());  // places outside of the window
  g.expect(m, {{"output", a.output}, {"weights", a.weights}});
}

TEST(AttentionForms, LowRankEqualsItsFormula) {
  Golden g("low_rank");
  LowRankAttention m = g.load(LowRankAttention(6, 2, 7, 3));
  const Attended a = m(g.in("x"), true);
  g.expect(m, {{"output", a.output}, {"weights", a.weights}});
}

TEST(AttentionForms, GroupedAndRotaryEqualPyTorch) {
  for (const bool use_rotary : {false, true}) {
    Golden g(use_rotary ? "rotary" : "grouped");
    MultiheadAttention m =
        g.load(use_rotary ? MultiheadAttention(8, 2, {.rotary = true}) : MultiheadAttention(8, 4, {.kv_heads = 2}));
    g.expect(m, {{"output", m(g.in("x"), {.keep = causal_mask(5, 5)}).output}});
  }
}

TEST(AttentionForms, BiasesAndWindowsEqualPyTorch) {
  Golden alibi("alibi"), bias("mha_bias"), window("window");
  MultiheadAttention m = alibi.load(MultiheadAttention(6, 2));
  Attended a =
      m(alibi.in("x"), {.keep = causal_mask(5, 5), .bias = alibi_bias(2, 5, 5).to(float64), .need_weights = true});
  alibi.expect(m, {{"output", a.output}, {"weights", a.weights}}, 1e-7);  // the slopes are those of float32

  MultiheadAttention unbiased = bias.load(MultiheadAttention(6, 2, {.bias = false}));
  const Tensor x = bias.in("x");
  a = unbiased(x, x, x, {.bias = bias.in("bias"), .need_weights = true});
  bias.expect(unbiased, {{"output", a.output}, {"weights", a.weights}});

  MultiheadAttention sliding = window.load(MultiheadAttention(6, 2));
  a = sliding(window.in("x"), {.keep = window_mask(5, 5, 2, 1), .need_weights = true});
  window.expect(sliding, {{"output", a.output}, {"weights", a.weights}});
}

TEST(AttentionForms, RelativeBiasEqualsItsFormula) {
  for (const bool both : {false, true}) {
    Golden g(both ? "relative_both" : "relative");
    RelativeBias m = g.load(RelativeBias(2, {.buckets = 8, .max_distance = 16, .bidirectional = both}));
    g.expect(m, {{"output", m(21, 24)}});
  }
}

TEST(AttentionForms, GumbelIsStraightThrough) {
  Golden g("gumbel");
  const Tensor logits = g.in("logits"), noise = g("gumbel/in/noise");
  // The noise of the op's own seed is taken out again, so that the one given is left.
  Generator same(4), random(4);
  const Tensor own = -log(-log(uniform(logits.shape(), 1e-20, 1, noise.options(), &same)));
  g.expect({{"output", gumbel_softmax(logits + (noise - own), 0.7, true, &random)}});
}

TEST(AttentionForms, HardLooksAtOnePlace) {
  manual_seed(5);
  HardAttention m(4, 6, 0.7);
  const Tensor query = randn({2, 3, 4}), memory = randn({2, 5, 6});
  const KeepMask keep(tensor({{1, 1, 0, 1, 0}, {1, 1, 1, 1, 1}}).unsqueeze(1) > 0);
  const Tensor scores = m.score.scores(query, memory).masked_fill(logical_not(keep.kept), -1e30);
  manual_seed(6);
  const Attended drawn = m(query, memory, keep);
  manual_seed(6);
  EXPECT_CLOSE(drawn.weights, gumbel_softmax(scores, 0.7, true), 0);
  EXPECT_CLOSE(drawn.output, matmul(drawn.weights, memory), 0);
  m.eval();
  EXPECT_CLOSE(m(query, memory, keep).weights, one_hot(scores.argmax(-1), 5), 0);
}

// --- by definition -------------------------------------------------------------------------------------------------

// What attention is, and its gradients for a gradient `up` of the output. query (batch, heads, n, d), key and value
// with as many heads or fewer, keep and bias (batch, heads, n, keys).
struct ByDefinition {
  std::vector<double> output, weights, d_query, d_key, d_value, d_bias;
  ByDefinition(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& keep, const Tensor& bias,
               double scale, const Tensor& up) {
    const int64_t heads = query.size(1), n = query.size(2), d = query.size(3), kv_heads = key.size(1),
                  keys = key.size(2), dv = value.size(3);
    const auto q = query.to_vector(), k = key.to_vector(), v = value.to_vector(), b = bias.to_vector(),
               kept = keep.to_vector(), g = up.to_vector();
    output.assign(g.size(), 0);
    weights.assign(b.size(), 0);
    d_query.assign(q.size(), 0);
    d_key.assign(k.size(), 0);
    d_value.assign(v.size(), 0);
    d_bias.assign(b.size(), 0);
    for (int64_t row = 0; row < query.size(0) * heads * n; ++row) {
      const int64_t batch = row / (heads * n), head = row / n % heads;
      const int64_t group = batch * kv_heads + head / (heads / kv_heads);  // of keys and values
      const auto at = [](int64_t i, int64_t width, int64_t j) { return size_t(i * width + j); };
      std::vector<double> w(static_cast<size_t>(keys), 0.0), dw = w;
      double largest = -INFINITY, sum = 0, mean = 0;
      for (int64_t j = 0; j < keys; ++j) {
        for (int64_t i = 0; i < d; ++i) w[size_t(j)] += q[at(row, d, i)] * k[at(group * keys + j, d, i)];
        w[size_t(j)] = scale * w[size_t(j)] + b[at(row, keys, j)];
        if (kept[at(row, keys, j)] != 0) largest = std::max(largest, w[size_t(j)]);
      }
      for (int64_t j = 0; j < keys; ++j) {
        w[size_t(j)] = kept[at(row, keys, j)] != 0 ? std::exp(w[size_t(j)] - largest) : 0;
        sum += w[size_t(j)];
      }
      for (int64_t j = 0; j < keys && sum > 0; ++j) {
        weights[at(row, keys, j)] = w[size_t(j)] /= sum;
        for (int64_t i = 0; i < dv; ++i) {
          const size_t here = at(group * keys + j, dv, i);
          output[at(row, dv, i)] += w[size_t(j)] * v[here];
          dw[size_t(j)] += g[at(row, dv, i)] * v[here];
          d_value[here] += w[size_t(j)] * g[at(row, dv, i)];
        }
        mean += w[size_t(j)] * dw[size_t(j)];
      }
      for (int64_t j = 0; j < keys && sum > 0; ++j) {
        const double slope = w[size_t(j)] * (dw[size_t(j)] - mean);
        d_bias[at(row, keys, j)] = slope;
        for (int64_t i = 0; i < d; ++i) {
          d_query[at(row, d, i)] += scale * slope * k[at(group * keys + j, d, i)];
          d_key[at(group * keys + j, d, i)] += scale * slope * q[at(row, d, i)];
        }
      }
    }
  }
};

// Against numbers of that shape, within float32's rounding of a sum of a few hundred.
void expect_near(const char* what, const Tensor& x, const std::vector<double>& wanted) {
  const Tensor w = from_vector(wanted, x.shape()).to(float64);
  const double largest = w.numel() > 0 ? abs(w).max().item() : 0;
  EXPECT_FALSE(!(testing::difference(x, w) <= 2e-5 * (1 + largest))) << what;
}

TEST(AttentionForms, AreTheDefinitionForAnyShapeAndMask) {
  Generator random(20261127);
  manual_seed(12);
  const auto one_in = [&](int64_t n) { return random.below(n) == 0; };
  int empty_rows = 0;
  for (int round = 0; round < 120; ++round) {
    const bool large = round % 20 == 0;
    const int64_t batch = 1 + random.below(3), kv_heads = 1 + random.below(3),
                  heads = kv_heads * (1 + random.below(3)), keys = 1 + random.below(large ? 300 : 40),
                  n = 1 + random.below(keys), d = 1 + random.below(40), dv = one_in(2) ? d : 1 + random.below(40);
    const TensorOptions wanted = {.requires_grad = true};
    const Tensor q = randn({batch, heads, n, d}, wanted), k = randn({batch, kv_heads, keys, d}, wanted),
                 v = randn({batch, kv_heads, keys, dv}, wanted);
    AttentionOptions o;
    std::string says = "round " + std::to_string(round);
    const auto add = [&](const char* what, const KeepMask& mask) {
      o.keep = o.keep ? *o.keep & mask : mask;
      says += what;
    };
    if (one_in(2)) add(", causal", causal_mask(n, keys));
    if (one_in(3)) add(", window", window_mask(n, keys, random.below(keys), random.below(keys)));
    if (one_in(2)) {
      std::vector<int64_t> lengths;
      for (int64_t i = 0; i < batch; ++i) lengths.push_back(random.below(keys + 1));  // 0: nothing to look at
      add(", padding", padding_mask(from_vector(lengths, {batch}), keys));
    }
    if (one_in(3)) add(", some keys of a head", KeepMask(rand({heads, 1, keys}) > 0.4));
    if (one_in(3)) add(", some queries see nothing", KeepMask(DropMask(rand({batch, 1, n, 1}) > 0.8)));
    const Shape whole = {batch, heads, n, keys};
    const Tensor kept = o.keep ? o.keep->kept.expand(whole).contiguous() : ones(whole) > 0;
    Tensor bias = zeros({heads, n, keys});
    if (one_in(3)) o.bias = bias = randn({heads, n, keys}, wanted);
    if (one_in(2)) o.scale = 0.3;
    SCOPED_TRACE(says);

    const Tensor up = randn({batch, heads, n, dv});
    const ByDefinition by(q.detach(), k.detach(), v.detach(), kept, bias.detach().expand(whole).contiguous(),
                          o.scale.value_or(1 / std::sqrt(double(d))), up);
    const Attended a = attend(q, k, v, o);
    expect_near("weights", a.weights, by.weights);
    for (const Tensor& output : {a.output, scaled_dot_product_attention(q, k, v, o)}) {
      expect_near("output", output, by.output);
      for (const Tensor& x : {q, k, v, bias}) Tensor(x).zero_grad();
      (output * up).sum().backward();
      expect_near("query's gradient", q.grad(), by.d_query);
      expect_near("key's gradient", k.grad(), by.d_key);
      expect_near("value's gradient", v.grad(), by.d_value);
      if (o.bias.defined())
        expect_near("bias's gradient", bias.grad(), from_vector(by.d_bias, whole).to(float64).sum({0}).to_vector());
    }
    // Rows without a key: exactly nothing.
    const Tensor blind = logical_not(kept.any({-1}, true));
    empty_rows += blind.any().item() != 0;
    EXPECT_EQ(abs(a.output.masked_fill(logical_not(blind), 0)).max().item(), 0);
    EXPECT_EQ(abs(q.grad().masked_fill(logical_not(blind), 0)).max().item(), 0);
  }
  EXPECT_GT(empty_rows, 20);
}

TEST(AttentionForms, MaskedSoftmaxIsTheSoftmaxOfWhatIsKept) {
  Generator random(3);
  manual_seed(13);
  for (int round = 0; round < 100; ++round) {
    const Shape shape = {1 + random.below(3), 1 + random.below(4), 1 + random.below(20)};
    // A mask may lack dimensions, or have ones.
    Shape mask_shape = shape;
    for (int64_t& n : mask_shape)
      if (random.below(3) == 0) n = 1;
    Tensor kept = rand(mask_shape) > 0.4;
    if (mask_shape[0] == 1 && random.below(2) == 0) kept = kept[0];
    const Tensor x = (randn(shape) * 30).requires_grad_(), up = randn(shape);
    const Tensor y = masked_softmax(x, KeepMask(kept));
    (y * up).sum().backward();
    const auto value = x.to_vector(), there = kept.expand(shape).contiguous().to_vector(), g = up.to_vector();
    std::vector<double> wanted(value.size()), slope(value.size());
    const size_t width = size_t(shape[2]);
    for (size_t row = 0; row < value.size(); row += width) {
      double largest = -INFINITY, sum = 0, mean = 0;
      for (size_t i = row; i < row + width; ++i)
        if (there[i] != 0) largest = std::max(largest, value[i]);
      for (size_t i = row; i < row + width; ++i) sum += wanted[i] = there[i] != 0 ? std::exp(value[i] - largest) : 0;
      for (size_t i = row; i < row + width && sum > 0; ++i) mean += (wanted[i] /= sum) * g[i];
      for (size_t i = row; i < row + width; ++i) slope[i] = wanted[i] * (g[i] - mean);
    }
    expect_near("softmax", y, wanted);
    expect_near("gradient", x.grad(), slope);
  }
}

}  // namespace
}  // namespace gradus::nn
