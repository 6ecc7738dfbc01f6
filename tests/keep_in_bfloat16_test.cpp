// What gradient rules keep within KeepInBfloat16: how exact gradients still are, how much memory it saves, and what is
// never rounded.
#include <gradus/gradus.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "tests/errors.h"
#include "tests/isas.h"

namespace gradus {
namespace {

constexpr int64_t n = 1 << 13;  // elements: enough to be rounded

Tensor rounded(const Tensor& x) { return x.detach().to(bfloat16).to(float32); }

// |a - b| / |b|.
double distance(const Tensor& a, const Tensor& b) { return (a - b).norm().item() / b.norm().item(); }

std::vector<Tensor> gradients_of(const nn::Module& model, const std::function<Tensor()>& loss, double* value) {
  model.zero_grad();
  manual_seed(7);  // of dropout
  const Tensor l = loss();
  *value = l.item();
  l.backward();
  std::vector<Tensor> gradients;
  for (const Tensor& p : model.parameters()) gradients.push_back(p.grad());
  return gradients;
}

// Rounding to 8 bits is off by 2^-9 at most; what a gradient passes through adds up.
void expect_near(const nn::Module& model, const std::function<Tensor()>& loss, double tolerance) {
  double exact_loss = 0, rounded_loss = 0;
  const std::vector<Tensor> exact = gradients_of(model, loss, &exact_loss);
  const std::vector<Tensor> near = [&] {
    const KeepInBfloat16 guard;
    return gradients_of(model, loss, &rounded_loss);
  }();
  EXPECT_EQ(rounded_loss, exact_loss);
  double most = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    if (!(exact[i].norm().item() > 1e-6)) continue;  // of a bias before a normalisation: nothing but rounding
    EXPECT_FALSE(!(distance(near[i], exact[i]) <= tolerance))
        << "parameter " << i << ": " << distance(near[i], exact[i]);
    most = std::max(most, distance(near[i], exact[i]));
  }
  EXPECT_GT(most, 1e-4);  // or nothing was rounded
  ::testing::Test::RecordProperty("farthest", std::to_string(most));
  double again = 0;
  const std::vector<Tensor> after = gradients_of(model, loss, &again);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_TRUE(equal(after[i], exact[i])) << i;
}

TEST(KeepInBfloat16, GradientsOfACnnAreNear) {
  manual_seed(1);
  const nn::Sequential model{nn::Conv2d(3, 16, 3, {.padding = 1}),
                             nn::BatchNorm2d(16),
                             nn::ReLU(),
                             nn::MaxPool2d(2),
                             nn::Conv2d(16, 16, 3, {.padding = 1}),
                             nn::BatchNorm2d(16),
                             nn::SiLU(),
                             nn::MaxPool2d(2),
                             nn::Flatten(),
                             nn::Dropout(0.2),
                             nn::Linear(256, 10)};
  const Tensor x = randn({16, 3, 16, 16}), labels = randint(0, 10, {16});
  expect_near(
      model, [&] { return cross_entropy(model(x), labels); }, 0.02);
}

TEST(KeepInBfloat16, GradientsOfATransformerAreNear) {
  manual_seed(2);
  nn::TransformerOptions options{.d_model = 32, .heads = 4, .ffn = 64, .encoder_layers = 3, .dropout = 0.1};
  options.activation = nn::exact_gelu;
  for (const bool norm_first : {false, true}) {
    options.norm_first = norm_first;
    const nn::TransformerEncoder model(options);
    const Tensor x = randn({8, 20, 32}), target = randn({8, 20, 32});
    expect_near(
        model, [&] { return mse_loss(model(x), target); }, 0.02);
  }
}

// Of the fused op, whose kernel reads what it is given until it is done.
TEST(KeepInBfloat16, GradientsOfAttentionAreNear) {
  manual_seed(11);
  const Tensor x = randn({2, 4, 64, 32}, {.requires_grad = true}), weights = randn({2, 4, 64, 32});
  const auto gradient = [&](bool in_bfloat16) {
    const KeepInBfloat16 guard(in_bfloat16);
    const Tensor y = x * 1.0;
    return grad({(scaled_dot_product_attention(y, y.flip({2}), y.flip({1})) * weights).sum()}, {x})[0];
  };
  const double off = distance(gradient(true), gradient(false));
  EXPECT_GT(off, 1e-4);
  EXPECT_FALSE(!(off <= 0.01)) << off;
}

TEST(KeepInBfloat16, IsOffByDefaultAndForAScope) {
  EXPECT_FALSE(keeps_in_bfloat16());
  {
    const KeepInBfloat16 guard;
    EXPECT_TRUE(keeps_in_bfloat16());
    const KeepInBfloat16 whole(false);
    EXPECT_FALSE(keeps_in_bfloat16());
  }
  EXPECT_FALSE(keeps_in_bfloat16());
}

TEST(KeepInBfloat16, RoundsLargeResultsAlone) {
  manual_seed(3);
  for (const auto& [size, is_rounded] : std::vector<std::pair<int64_t, bool>>{{4095, false}, {4096, true}}) {
    const Tensor x = randn({size}, {.requires_grad = true});
    const KeepInBfloat16 guard;
    const Tensor y = exp(x);
    y.sum().backward();
    EXPECT_TRUE(equal(x.grad(), is_rounded ? rounded(y) : y.detach())) << size;
    x.zero_grad();
    square(x).sum().backward();  // of a leaf
    EXPECT_TRUE(equal(x.grad(), x.detach() * 2)) << size;
  }
}

// The gradient of a linear layer's input is a product with its weights: the same bits with and without.
TEST(KeepInBfloat16, WeightsKeepTheirDigits) {
  manual_seed(4);
  const Tensor x = randn({64, 96}, {.requires_grad = true}), w = randn({96, 96}, {.requires_grad = true});
  for (const auto view : {+[](const Tensor& t) { return t; }, +[](const Tensor& t) { return t.narrow(0, 0, 64); },
                          +[](const Tensor& t) { return t.t().unsqueeze(0).squeeze(0).t(); }}) {
    const auto gradient = [&] {
      manual_seed(5);
      x.zero_grad();
      const Tensor y = linear(x * 2.0, view(w));
      (y * randn(y.shape())).sum().backward();
      return x.grad();
    };
    const Tensor exact = gradient();
    const KeepInBfloat16 guard;
    EXPECT_TRUE(equal(gradient(), exact));
  }
  // Nor is a tensor that no op of the graph made, or one stretched, whose copy would be larger than it is.
  const Tensor data = randn({n}), scale = randn({1, 2}, {.requires_grad = true});
  const KeepInBfloat16 guard;
  w.zero_grad();
  const Tensor v = zeros({n}, {.requires_grad = true});
  (v * data).sum().backward();
  EXPECT_TRUE(equal(v.grad(), data));
  const int64_t before = memory_stats().live;
  const Tensor wide = square((scale * 2.0).expand({n, 2}));
  EXPECT_LE(memory_stats().live - before, int64_t(wide.numel() * sizeof(float)) + 4096);
}

// The results are freed, and rules that keep the same one have one copy of it between them.
TEST(KeepInBfloat16, RulesShareOneCopy) {
  const Tensor x = randn({n}, {.requires_grad = true});
  const auto kept = [&] {
    const int64_t before = memory_stats().live;
    Tensor y;
    {
      const Tensor r = relu(x + 1.0);     // its output
      y = (silu(r) + gelu(r) * 2).sum();  // their input
    }
    const int64_t bytes = memory_stats().live - before;
    y.backward();
    return bytes;
  };
  const int64_t whole = kept();
  x.zero_grad();
  const KeepInBfloat16 guard;
  const int64_t halved = kept();
  EXPECT_GE(whole, int64_t(n * sizeof(float)));
  EXPECT_GE(halved, int64_t(n * sizeof(uint16_t)));
  EXPECT_LT(halved, int64_t(n * sizeof(uint16_t)) + 1024);
}

TEST(KeepInBfloat16, LaterChangesInPlaceDoNoHarm) {
  const Tensor x = full({n}, 3, {.requires_grad = true});
  const auto slope = [&] {
    x.zero_grad();
    const Tensor y = x * 1.0, first = square(y).sum();
    {
      const NoGrad guard;
      Tensor(y).mul_(5);
    }
    const Tensor second = square(y).sum();  // keeps what y is by now
    (first + second).backward();
    return x.grad().select(0, 0).item();
  };
  EXPECT_NE(testing::error_of(slope).find("changed in place"), std::string::npos);
  const KeepInBfloat16 guard;
  EXPECT_EQ(slope(), 2 * 3 + 2 * 15);
  // relu may write into what only the copy's owner needs.
  x.zero_grad();
  Tensor y = x * -1.0;
  const Tensor kept = square(y).sum();
  const Tensor positive = relu(std::move(y));
  (kept + square(positive).sum()).backward();
  EXPECT_EQ(x.grad().select(0, 0).item(), 2 * 3);
}

TEST(KeepInBfloat16, WhatComparesOrMagnifiesStaysExact) {
  manual_seed(6);
  const Tensor x = randn({64, 128}, {.requires_grad = true}), labels = randint(0, 128, {64}),
               weights = randn({8, 8, 4, 8});
  const auto gradient = [&] {
    x.zero_grad();
    const Tensor y = x * 20.0, near = y + 0.001;
    Tensor loss = cross_entropy(y, labels) + y.amax({1}).sum() + y.amin({1}).sum() + maximum(y, near).sum() +
                  (minimum(y, near) * 2).sum() + clamp(y, -1, 1).sum() + log1p(y * 0.01).sum();
    for (const bool with_relu : {false, true}) {
      const Tensor pooled = max_pool2d(y.view({8, 8, 8, 16}), {.kernel = 2}, with_relu);
      loss = loss + (pooled * weights).sum();
    }
    loss.backward();
    return x.grad();
  };
  const Tensor exact = gradient();
  const KeepInBfloat16 guard;
  EXPECT_TRUE(equal(gradient(), exact));
}

TEST(KeepInBfloat16, GradientsOfGradientsAreNear) {
  manual_seed(8);
  const Tensor x = randn({n}, {.requires_grad = true});
  const auto second = [&](bool in_bfloat16) {
    const KeepInBfloat16 guard(in_bfloat16);
    const Tensor slope = grad({(square(tanh(x * 1.0)) * exp(x * 0.5)).sum()}, {x}, {.create_graph = true})[0];
    return grad({square(slope).sum()}, {x})[0];
  };
  const double off = distance(second(true), second(false));
  EXPECT_GT(off, 1e-5);
  EXPECT_FALSE(!(off <= 0.01)) << off;
}

TEST(KeepInBfloat16, CheckpointsKeepInBfloat16Too) {
  manual_seed(9);
  const Tensor x = randn({n}, {.requires_grad = true});
  const TensorFunction f = [](const std::vector<Tensor>& in) { return silu(tanh(in[0] * 2.0)) * in[0]; };
  const auto gradient = [&](bool in_bfloat16, bool checkpointed, bool around_backward) {
    Tensor loss;
    {
      const KeepInBfloat16 guard(in_bfloat16);
      const Tensor y = x * 1.5;
      loss = (checkpointed ? checkpoint(f, {y}) : f({y})).sum();
    }
    const KeepInBfloat16 guard(around_backward);
    return grad({loss}, {x})[0];
  };
  const Tensor exact = gradient(false, false, false);
  EXPECT_TRUE(equal(gradient(false, true, true), exact));
  const Tensor near = gradient(true, true, false);
  EXPECT_TRUE(equal(gradient(true, true, true), near));
  EXPECT_FALSE(equal(near, exact));
  EXPECT_FALSE(!(distance(near, exact) <= 0.01)) << distance(near, exact);
}

// Blocks of He et al. 2016: relu(x + norm(conv(relu(norm(conv(x)))))).
struct Block : nn::Module {
  nn::Conv2d conv1, conv2;
  nn::BatchNorm2d bn1, bn2;
  explicit Block(int64_t channels)
      : conv1(channels, channels, 3, {.padding = 1, .bias = false}),
        conv2(channels, channels, 3, {.padding = 1, .bias = false}),
        bn1(channels),
        bn2(channels) {}
  Tensor operator()(const Tensor& x) const { return relu(bn2(conv2(relu(bn1(conv1(x))))) + x); }
  void visit(nn::Visitor& v) override {
    v("conv1", conv1), v("bn1", bn1);
    v("conv2", conv2), v("bn2", bn2);
  }
  const char* type() const override { return "Block"; }
};

TEST(KeepInBfloat16, AResNetTrainsInLessMemory) {
  manual_seed(10);
  const int64_t channels = 16;
  nn::Sequential model{nn::Conv2d(3, channels, 3, {.padding = 1})};
  for (int i = 0; i < 9; ++i) model.append(Block(channels));
  optim::SGD optimizer(model.parameters(), {.lr = 0.01});
  const Tensor x = randn({8, 3, 32, 32}), labels = randint(0, channels, {8});
  const auto peak_of_step = [&] {
    reset_peak_memory();
    const int64_t before = memory_stats().live;
    cross_entropy(model(x).mean({2, 3}), labels).backward();
    optimizer.step();
    optimizer.zero_grad();
    return memory_stats().peak - before;
  };
  peak_of_step();  // scratch memory that stays
  const int64_t whole = peak_of_step();
  const KeepInBfloat16 guard;
  peak_of_step();
  const int64_t halved = peak_of_step();
  EXPECT_LT(double(halved), 0.7 * double(whole)) << halved << " of " << whole << " bytes";
  RecordProperty("bytes", std::to_string(whole));
  RecordProperty("bytes in bfloat16", std::to_string(halved));
}

class KeepInBfloat16Casts : public testing::EachIsa {};

// Every bfloat16 there is, there and back, in one piece and as columns.
TEST_P(KeepInBfloat16Casts, AreExactBothWays) {
  Tensor x = empty({3, 1 << 16}, {.dtype = bfloat16});
  BFloat16* numbers = x.data<BFloat16>();
  for (int64_t i = 0; i < x.numel(); ++i) numbers[i].bits = uint16_t(i);
  for (const Tensor& from : {x, x.t()}) {
    const Tensor wide = from.to(float32).contiguous(), back = wide.to(bfloat16), in_order = from.contiguous();
    for (int64_t i = 0; i < x.numel(); ++i) {
      const uint16_t bits = in_order.data<BFloat16>()[i].bits;
      const bool nan = (bits & 0x7fff) > 0x7f80;
      ASSERT_EQ(std::bit_cast<uint32_t>(wide.data<float>()[i]), uint32_t(bits) << 16);
      ASSERT_EQ(back.data<BFloat16>()[i].bits, nan ? bits | 0x40 : bits);
    }
  }
}

GRADUS_EACH_ISA(KeepInBfloat16Casts);

}  // namespace
}  // namespace gradus
