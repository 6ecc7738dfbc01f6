// Modules: names, state, conversion, printing, errors, summary, initial values.
#include "nn/nn.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "optim/optim.h"
#include "tensor/allocator.h"
#include "tests/errors.h"

namespace gradus {
namespace {

using gradus::testing::error_of;
using nn::Conv2d;
using nn::Linear;
using nn::ReLU;
using nn::Sequential;

// Two blocks in a list, and a head.
struct Block : nn::Module {
  Linear inner{4, 4};
  nn::LayerNorm norm{4};
  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    return call(norm(x + relu(inner(x))));
  }
  void visit(nn::Visitor& v) override {
    v("inner", inner);
    v("norm", norm);
  }
  const char* type() const override { return "Block"; }
};

struct Tower : nn::Module {
  nn::ModuleList<Block> layers{2, [](int64_t) { return Block(); }};
  Linear head{4, 3};
  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    Tensor y = x;
    for (const Block& layer : layers) y = layer(y);
    return call(head(y));
  }
  void visit(nn::Visitor& v) override {
    v("layers", layers);
    v("head", head);
  }
  const char* type() const override { return "Tower"; }
};

// A language model's usual tie: the output weight is the embedding's.
struct Tied : nn::Module {
  nn::Embedding embed{7, 4};
  Linear out{4, 7, {.bias = false}};
  Tied() { out.weight = embed.weight; }
  Tensor operator()(const Tensor& index) const {
    nn::Call call(*this);
    return call(out(embed(index)));
  }
  void visit(nn::Visitor& v) override {
    v("embed", embed);
    v("out", out);
  }
  const char* type() const override { return "Tied"; }
};

// Uses a module that is not part of it.
struct Holder : nn::Stateless {
  Tensor operator()(const Tensor& x) const {
    nn::Call call(*this);
    Linear stranger(3, 3);
    return call(stranger(x));
  }
  const char* type() const override { return "Holder"; }
};

static_assert(!std::is_copy_constructible_v<Linear> && std::is_move_constructible_v<Linear>);
static_assert(!std::is_copy_constructible_v<Sequential> && std::is_move_constructible_v<Tower>);

std::string described(const nn::StateDict& state) {
  std::string out;
  for (const auto& [name, tensor] : state)
    out += (out.empty() ? "" : " ") + name + to_string(tensor.shape()) +
           (tensor.dtype() == float32 ? "" : to_string(tensor.dtype()));
  return out;
}

// --- what visit reports --------------------------------------------------------------------------------------------

// The names and shapes PyTorch's state_dict has, and no tensor made that visit does not report.
template <class Make>
void expect_state(Make make, const std::string& expected) {
  int64_t blocks = memory_stats().blocks;
  auto module = make();
  int64_t made = memory_stats().blocks - blocks;
  nn::StateDict state = module.state_dict();
  EXPECT_EQ(described(state), expected);
  std::set<Storage*> storages;
  for (const auto& entry : state) storages.insert(entry.second.storage().get());
  EXPECT_EQ(made, int64_t(storages.size())) << module.type() << " makes tensors that visit does not report";
  for (const auto& [name, tensor] : module.named_parameters()) EXPECT_TRUE(tensor.requires_grad()) << name;
  for (const auto& [name, tensor] : module.named_buffers()) EXPECT_FALSE(tensor.requires_grad()) << name;
}

TEST(State, IsWhatTheConstructorMadeUnderPyTorchsNames) {
  expect_state([] { return Linear(3, 5); }, "weight[5, 3] bias[5]");
  expect_state([] { return Linear(3, 5, {.bias = false}); }, "weight[5, 3]");
  expect_state([] { return nn::Conv1d(4, 6, 3, {.groups = 2}); }, "weight[6, 2, 3] bias[6]");
  expect_state([] { return Conv2d(4, 6, {3, 5}, {.groups = 2}); }, "weight[6, 2, 3, 5] bias[6]");
  expect_state([] { return Conv2d(1, 2, 3, {.bias = false}); }, "weight[2, 1, 3, 3]");
  expect_state([] { return nn::ConvTranspose2d(4, 6, {3, 5}, {.groups = 2}); }, "weight[4, 3, 3, 5] bias[6]");
  expect_state([] { return nn::BatchNorm1d(3); },
               "weight[3] bias[3] running_mean[3] running_var[3] num_batches_tracked[]int64");
  expect_state([] { return nn::BatchNorm2d(3, {.affine = false}); },
               "running_mean[3] running_var[3] num_batches_tracked[]int64");
  expect_state([] { return nn::BatchNorm2d(3, {.track_running_stats = false}); }, "weight[3] bias[3]");
  expect_state([] { return nn::LayerNorm(4); }, "weight[4] bias[4]");
  expect_state([] { return nn::LayerNorm({2, 3}, {.bias = false}); }, "weight[2, 3]");
  expect_state([] { return nn::LayerNorm(4, {.elementwise_affine = false}); }, "");
  expect_state([] { return nn::GroupNorm(2, 4); }, "weight[4] bias[4]");
  expect_state([] { return nn::RMSNorm(4); }, "weight[4]");
  expect_state([] { return nn::Embedding(7, 3, {.padding_idx = 0}); }, "weight[7, 3]");
  expect_state([] { return Sequential(Linear(2, 3), ReLU(), Sequential(Linear(3, 1))); },
               "0.weight[3, 2] 0.bias[3] 2.0.weight[1, 3] 2.0.bias[1]");
  expect_state([] { return Tower(); },
               "layers.0.inner.weight[4, 4] layers.0.inner.bias[4] layers.0.norm.weight[4] layers.0.norm.bias[4] "
               "layers.1.inner.weight[4, 4] layers.1.inner.bias[4] layers.1.norm.weight[4] layers.1.norm.bias[4] "
               "head.weight[3, 4] head.bias[3]");
  expect_state(
      [] {
        return Sequential(nn::Dropout(), nn::Flatten(), nn::MaxPool2d(2), nn::AvgPool2d(2), nn::AdaptiveAvgPool2d(1),
                          ReLU(), nn::LeakyReLU(), nn::GELU(), nn::SiLU(), nn::Tanh(), nn::Sigmoid(), nn::Softmax(),
                          nn::LogSoftmax(), nn::Softplus());
      },
      "");
}

TEST(State, CompletenessCheckSeesAForgottenTensor) {
  struct Forgetful : nn::Stateless {
    Linear hidden{2, 2};
    const char* type() const override { return "Forgetful"; }
  };
  int64_t blocks = memory_stats().blocks;
  Forgetful module;
  EXPECT_EQ(memory_stats().blocks - blocks, 2);  // what expect_state compares with the number visited
  EXPECT_EQ(module.state_dict().size(), 0u);
}

TEST(State, ListsTiedParametersOnce) {
  Tied model;
  EXPECT_EQ(model.named_parameters().size(), 1u);
  EXPECT_EQ(model.named_parameters()[0].first, "embed.weight");
  EXPECT_EQ(model.parameter_count(), 28);
  EXPECT_EQ(described(model.state_dict()), "embed.weight[7, 4] out.weight[7, 4]");
}

TEST(State, LoadsByNameAndConverts) {
  Tower from, to;
  nn::StateDict state;
  for (const auto& [name, tensor] : from.state_dict()) state.emplace(state.begin(), name, tensor.to(float64));
  to.load_state_dict(state);
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_TRUE(equal(from.state_dict()[i].second, to.state_dict()[i].second));
    EXPECT_EQ(to.state_dict()[i].second.dtype(), float32);
  }
  Tower third;
  Tensor handle = third.head.weight;
  nn::copy_state(to, third);
  EXPECT_TRUE(equal(handle.detach(), from.head.weight.detach()));
  EXPECT_TRUE(third.head.weight.requires_grad());
}

TEST(State, RefusesWhatDoesNotFitAndChangesNothing) {
  Sequential model(Linear(2, 3), Linear(3, 1));
  nn::StateDict before;
  for (const auto& [name, tensor] : model.state_dict()) before.emplace_back(name, tensor.clone());
  nn::StateDict bad = {{"0.weight", zeros({3, 2})},
                       {"0.bias", zeros({4})},
                       {"0.bias", zeros({3})},
                       {"head.weight", zeros({1})},
                       {"1.weight", zeros({1, 3})}};
  EXPECT_EQ(error_of([&] { model.load_state_dict(bad); }),
            "load_state_dict: missing: 1.bias; unexpected: head.weight; given twice: 0.bias; "
            "misshapen: 0.bias is [4], expected [3]");
  nn::StateDict after = model.state_dict();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(equal(before[i].second, after[i].second));
}

// --- train, eval, conversion ---------------------------------------------------------------------------------------

TEST(Module, TrainAndEvalReachEveryModule) {
  Tower model;
  EXPECT_TRUE(model.layers[1].inner.training());
  model.eval();
  for (const auto& [name, module] : model.named_modules()) EXPECT_FALSE(module->training()) << name;
  model.layers.train();
  EXPECT_FALSE(model.training());
  EXPECT_TRUE(model.layers[1].inner.training());
  std::string names;
  for (const auto& entry : model.named_modules()) names += entry.first + ";";
  EXPECT_EQ(names, ";layers;layers.0;layers.0.inner;layers.0.norm;layers.1;layers.1.inner;layers.1.norm;head;");
}

TEST(Module, ConversionKeepsTiesOptimisersAndGradients) {
  Tied model;
  optim::SGD optimizer(model.parameters(), {.lr = 0.5, .momentum = 0.9});
  Tensor handle = model.embed.weight, index = tensor({1, 2, 6}, {.dtype = int64});
  auto step = [&] {
    optimizer.zero_grad();
    cross_entropy(model(index), tensor({2, 6, 1}, {.dtype = int64})).backward();
    optimizer.step();
  };
  step();
  std::vector<double> before = handle.to_vector();
  model.to(float64);
  EXPECT_EQ(handle.dtype(), float64);
  EXPECT_EQ(handle.to_vector(), before);
  EXPECT_EQ(model.out.weight.storage(), model.embed.weight.storage());
  EXPECT_EQ(handle.grad().dtype(), float64);
  step();
  EXPECT_EQ(handle.grad().dtype(), float64);
  EXPECT_NE(model.out.weight.to_vector(), before);
  EXPECT_EQ(model.out.weight.to_vector(), handle.to_vector());

  Tied other;
  nn::copy_state(other, model);
  EXPECT_EQ(handle.to_vector(), other.embed.weight.to_vector());
  before = handle.to_vector();
  step();
  EXPECT_NE(model.embed.weight.to_vector(), before);
  EXPECT_EQ(model.out.weight.storage(), model.embed.weight.storage());
}

TEST(Module, ConversionLeavesIntegersAlone) {
  nn::BatchNorm1d norm(3);
  norm.to(float64);
  EXPECT_EQ(norm.running_mean.dtype(), float64);
  EXPECT_EQ(norm.num_batches_tracked.dtype(), int64);
  EXPECT_EQ(norm(randn({4, 3}, {.dtype = float64})).dtype(), float64);
  EXPECT_THROW(norm.to(int64), Error);
}

TEST(Module, FreezesAndThaws) {
  Tied model;
  optim::SGD optimizer(model.parameters(), {.lr = 0.5});
  Tensor index = tensor({1, 2}, {.dtype = int64});
  model(index).sum().backward();
  model.requires_grad_(false);
  EXPECT_FALSE(model.embed.weight.requires_grad());
  EXPECT_EQ(model.named_parameters().size(), 1u);
  EXPECT_FALSE(model(index).requires_grad());
  std::vector<double> before = model.embed.weight.to_vector();
  optimizer.step();  // nothing is left to go by
  EXPECT_EQ(model.embed.weight.to_vector(), before);

  model.to(float64);
  model.out.requires_grad_(true);
  model.requires_grad_(true);
  model(index).sum().backward();
  // One leaf for both, the one that the optimiser knows: its gradient has the part of each.
  EXPECT_EQ(model.embed.weight.node(), model.out.weight.node());
  optimizer.step();
  EXPECT_NE(model.embed.weight.to_vector(), before);
  model.zero_grad();
  EXPECT_FALSE(optimizer.parameters(0)[0].grad().defined());

  Tied plain;  // parameters that never were leaves become one where they are tied
  plain.embed.weight = plain.out.weight = zeros({7, 4});
  plain.requires_grad_(true);
  EXPECT_TRUE(plain.out.weight.requires_grad());
  EXPECT_EQ(plain.embed.weight.node(), plain.out.weight.node());
}

// --- errors --------------------------------------------------------------------------------------------------------

TEST(Errors, BeginWithThePathOfTheModule) {
  Tower model;
  const std::string text = "linear: input [2, 5] has 5 features, weight [4, 4] expects 4";
  auto run = [](const Tower& m) { return error_of([&] { m(ones({2, 5})); }); };
  EXPECT_EQ(run(model), "layers.0.inner: " + text);
  Tower moved = std::move(model);
  EXPECT_EQ(run(moved), "layers.0.inner: " + text);
  moved.layers.append(Block());  // the list may move its modules
  moved.layers[2].inner = Linear(7, 4);
  EXPECT_EQ(error_of([&] {
              moved(ones({2, 4}));
            }),
            "layers.2.inner: linear: input [2, 4] has 4 features, weight [4, 7] expects 7");
  EXPECT_EQ(error_of([&] { moved.layers[0].inner(ones({2, 5})); }), text);  // the outermost needs no name
  EXPECT_EQ(nn::current_path(), "");
  EXPECT_EQ(error_of([] { check(false, "outside"); }), "outside");

  Sequential nested(Linear(2, 4), Sequential(ReLU(), Linear(4, 4), Linear(5, 4)));
  EXPECT_EQ(error_of([&] {
              nested(ones({1, 2}));
            }),
            "1.2: linear: input [1, 4] has 4 features, weight [4, 5] expects 5");
}

TEST(Errors, ModulesOfNoOneArePassedOver) {
  Sequential model{Holder()};
  EXPECT_EQ(error_of([&] {
              model(ones({1, 2}));
            }),
            "0: linear: input [1, 2] has 2 features, weight [3, 3] expects 3");
}

TEST(Errors, ConstructorsSayWhatIsWrong) {
  EXPECT_EQ(error_of([] { Linear(0, 3); }), "Linear: in_features 0 and out_features 3 must be positive");
  EXPECT_EQ(error_of([] { Conv2d(3, 4, 3, {.groups = 2}); }),
            "Conv2d: in_channels 3 and out_channels 4 must be multiples of groups 2");
  EXPECT_EQ(error_of([] { Conv2d(3, 4, 0); }),
            "Conv2d: kernel_size (0, 0), stride (1, 1) and dilation (1, 1) must be positive");
  EXPECT_EQ(error_of([] { Conv2d(3, 4, 3, {.padding = -1}); }),
            "Conv2d: padding (-1, -1) and output_padding (0, 0) must not be negative");
  EXPECT_EQ(error_of([] { nn::BatchNorm2d(0); }), "BatchNorm2d: num_features 0 must be positive");
  EXPECT_EQ(error_of([] { nn::BatchNorm2d(3, {.momentum = 2}); }), "BatchNorm2d: momentum 2 must be between 0 and 1");
  EXPECT_EQ(error_of([] { nn::LayerNorm(Shape{}); }), "LayerNorm: normalized_shape [] must have positive sizes");
  EXPECT_EQ(error_of([] { nn::GroupNorm(3, 4); }), "GroupNorm: channels 4 must be a multiple of groups 3");
  EXPECT_EQ(error_of([] { nn::RMSNorm(3, {.eps = -1}); }), "RMSNorm: eps -1 must not be negative");
  EXPECT_EQ(error_of([] { nn::Dropout(1.5); }), "Dropout: probability 1.5 must be between 0 and 1");
  EXPECT_EQ(error_of([] { nn::Embedding(3, 2, {.padding_idx = 3}); }),
            "Embedding: padding_idx 3 is outside of 3 rows");
  EXPECT_EQ(error_of([] { nn::GELU("fast"); }), "GELU: approximate is 'none' or 'tanh', not 'fast'");
  EXPECT_EQ(error_of([] { nn::MaxPool2d(0); }), "MaxPool2d: kernel_size (0, 0) and stride (0, 0) must be positive");
  EXPECT_EQ(error_of([] {
              nn::BatchNorm2d(3)(ones({2, 3}));
            }),
            "BatchNorm2d: input [2, 3] should have 4 dimensions: batch, channels and places");
  EXPECT_EQ(error_of([] {
              nn::BatchNorm1d(3)(ones({2, 4}));
            }),
            "BatchNorm1d: input [2, 4] has 4 channels, expected 3");
  EXPECT_EQ(error_of([] { nn::RMSNorm(3)(ones({2, 4})); }), "RMSNorm: input [2, 4] should end in 3 features");
}

// --- printing ------------------------------------------------------------------------------------------------------

TEST(Printing, IsPyTorchs) {
  Sequential model(Conv2d(1, 32, 3, {.padding = 1}), nn::BatchNorm2d(32), ReLU(), nn::MaxPool2d(2), nn::Flatten(),
                   nn::Dropout(0.25), Linear(6272, 10, {.bias = false}));
  EXPECT_EQ(to_string(model), R"(Sequential(
  (0): Conv2d(1, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
  (1): BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
  (2): ReLU()
  (3): MaxPool2d(kernel_size=2, stride=2, padding=0)
  (4): Flatten(start_dim=1, end_dim=-1)
  (5): Dropout(p=0.25)
  (6): Linear(in_features=6272, out_features=10, bias=False)
))");
  EXPECT_EQ(to_string(Tower()), R"(Tower(
  (layers): ModuleList(
    (0-1): 2 x Block(
      (inner): Linear(in_features=4, out_features=4, bias=True)
      (norm): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)
    )
  )
  (head): Linear(in_features=4, out_features=3, bias=True)
))");
  std::vector<std::pair<std::string, std::string>> rows = {
      {to_string(nn::Conv1d(4, 8, 3, {.stride = 2, .dilation = 2, .groups = 2, .bias = false})),
       "Conv1d(4, 8, kernel_size=(3,), stride=(2,), dilation=(2,), groups=2, bias=False)"},
      {to_string(nn::ConvTranspose2d(4, 2, {2, 3}, {.stride = 2, .output_padding = 1})),
       "ConvTranspose2d(4, 2, kernel_size=(2, 3), stride=(2, 2), output_padding=(1, 1))"},
      {to_string(nn::AvgPool2d({2, 3})), "AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0)"},
      {to_string(nn::AdaptiveAvgPool2d(1)), "AdaptiveAvgPool2d(output_size=1)"},
      {to_string(nn::AdaptiveAvgPool2d({2, 3})), "AdaptiveAvgPool2d(output_size=(2, 3))"},
      {to_string(nn::LayerNorm({2, 3}, {.bias = false})),
       "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)"},
      {to_string(nn::GroupNorm(2, 4)), "GroupNorm(2, 4, eps=1e-05, affine=True)"},
      {to_string(nn::RMSNorm(10)), "RMSNorm((10,), eps=None, elementwise_affine=True)"},
      {to_string(nn::RMSNorm(10, {.eps = 1e-6})), "RMSNorm((10,), eps=1e-06, elementwise_affine=True)"},
      {to_string(nn::Embedding(10, 3, {.padding_idx = -1})), "Embedding(10, 3, padding_idx=9)"},
      {to_string(nn::LeakyReLU()), "LeakyReLU(negative_slope=0.01)"},
      {to_string(nn::GELU()), "GELU(approximate='none')"},
      {to_string(nn::SiLU()), "SiLU()"},
      {to_string(nn::Softmax(-1)), "Softmax(dim=-1)"},
      {to_string(nn::LogSoftmax(1)), "LogSoftmax(dim=1)"},
      {to_string(nn::Softplus()), "Softplus(beta=1.0, threshold=20.0)"},
      {to_string(nn::BatchNorm1d(3, {.affine = false})),
       "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=False, track_running_stats=True)"},
  };
  for (const auto& [got, expected] : rows) EXPECT_EQ(got, expected);
}

TEST(Summary, TabulatesWhatRan) {
  struct Model : nn::Module {
    Sequential features{Conv2d(1, 8, 3, {.padding = 1}), nn::BatchNorm2d(8), ReLU(), nn::MaxPool2d(2)};
    Linear shared{8, 8}, unused{3, 3}, head{8, 10};
    Tensor operator()(const Tensor& x) const {
      nn::Call call(*this);
      Tensor y = features(x).mean({2, 3});
      return call(head(shared(shared(y))));
    }
    void visit(nn::Visitor& v) override {
      v("features", features);
      v("shared", shared);
      v("unused", unused);
      v("head", head);
    }
    const char* type() const override { return "Model"; }
  } model;
  model.features.eval();
  EXPECT_EQ(nn::summary(model, ones({32, 1, 28, 28})),
            R"(layer       type         output           parameters  output bytes   flops
----------  -----------  ---------------  ----------  ------------  ------
(model)     Model        [32, 10]                 12             -       -
  features  Sequential   [32, 8, 14, 14]           -             -       -
    0       Conv2d       [32, 8, 28, 28]          80       784 KiB  3.61 M
    1       BatchNorm2d  [32, 8, 28, 28]          16       784 KiB       -
    2       ReLU         [32, 8, 28, 28]           -             -       -
    3       MaxPool2d    [32, 8, 14, 14]           -       196 KiB       -
  shared    Linear       [32, 8]                  72      1.00 KiB  4.10 k
  shared    Linear       [32, 8]                   -      1.00 KiB  4.10 k
  head      Linear       [32, 10]                 90      1.25 KiB  5.12 k
----------  -----------  ---------------  ----------  ------------  ------
total                                            270      1.73 MiB  3.63 M
parameters take 1.05 KiB; 270 are trainable
)");
  // The model is as it was: in its modes, and with its running statistics.
  EXPECT_TRUE(model.training() && model.head.training());
  EXPECT_FALSE(model.features.training() || model.features[1].training());
  EXPECT_EQ(model.features.get<nn::BatchNorm2d>(1).num_batches_tracked.item(), 0);
  EXPECT_TRUE(model(ones({1, 1, 4, 4})).requires_grad());

  EXPECT_THROW(nn::summary(model, ones({1, 2, 4, 4})), Error);
  EXPECT_TRUE(model.training());
  EXPECT_FALSE(model.features.training());
  Sequential odd{Holder()};
  EXPECT_NE(nn::summary(odd, ones({1, 3})).find("    (not visited)  Linear      [1, 3]           -"),
            std::string::npos);
  Tied tied;
  std::string table = nn::summary(tied, [&] { tied(tensor({1, 2}, {.dtype = int64})); });
  EXPECT_NE(table.find("  out    Linear     [2, 7]           -"), std::string::npos) << table;
}

// --- layers --------------------------------------------------------------------------------------------------------

TEST(Layers, HandTheirOptionsOn) {
  Tensor image = randn({2, 4, 9, 7}), row = randn({2, 4, 9});
  Conv2d conv(4, 6, {3, 2}, {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2});
  EXPECT_TRUE(equal(conv(image), conv2d(image, conv.weight, conv.bias,
                                        {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2})));
  EXPECT_EQ(conv(image).shape(), (Shape{2, 6, 5, 5}));
  nn::Conv1d conv1(4, 6, 3, {.stride = 2, .padding = 1, .dilation = 2});
  EXPECT_TRUE(equal(conv1(row), conv1d(row, conv1.weight, conv1.bias, {.stride = 2, .padding = 1, .dilation = 2})));
  EXPECT_EQ(conv1(row).shape(), (Shape{2, 6, 4}));
  nn::ConvTranspose2d up(4, 6, 3, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 2});
  EXPECT_EQ(up(image).shape(), (Shape{2, 6, 18, 14}));
  EXPECT_EQ(nn::MaxPool2d(3, {.stride = 2, .padding = 1})(image).shape(), (Shape{2, 4, 5, 4}));
  EXPECT_TRUE(equal(nn::MaxPool2d(2, {.relu = true})(image), nn::MaxPool2d(2)(relu(image))));
  Tensor border = nn::AvgPool2d(3, {.stride = 2, .padding = 1, .count_include_pad = false})(ones({1, 1, 4, 4}));
  EXPECT_TRUE(equal(border, ones({1, 1, 2, 2})));
  EXPECT_EQ(nn::AdaptiveAvgPool2d({3, 2})(image).shape(), (Shape{2, 4, 3, 2}));
  EXPECT_EQ(nn::Flatten()(image).shape(), (Shape{2, 252}));
  EXPECT_EQ(nn::Flatten(2)(image).shape(), (Shape{2, 4, 63}));
  EXPECT_EQ(nn::LeakyReLU(0.5)(tensor({-2, 2})).to_vector(), (std::vector<double>{-1, 2}));
  EXPECT_TRUE(equal(nn::GELU("tanh")(row), gelu(row, "tanh")));
  EXPECT_FALSE(equal(nn::GELU()(row), gelu(row, "tanh")));
  EXPECT_TRUE(equal(nn::Softmax(1)(row), softmax(row, 1)));
  EXPECT_TRUE(equal(nn::LogSoftmax(1)(row), log_softmax(row, 1)));
  EXPECT_TRUE(equal(nn::Softplus({.beta = 2, .threshold = 1})(row), softplus(row, 2, 1)));
  EXPECT_TRUE(equal(nn::SiLU()(row), silu(row)));
  EXPECT_TRUE(equal(nn::Tanh()(row), tanh(row)));
  EXPECT_TRUE(equal(nn::Sigmoid()(row), sigmoid(row)));
  EXPECT_TRUE(equal(nn::GroupNorm(2, 4, {.eps = 0.1})(row), group_norm(row, 2, ones({4}), zeros({4}), 0.1)));
  EXPECT_TRUE(
      equal(nn::LayerNorm({4, 9}, {.eps = 0.1})(row), layer_norm(row, {4, 9}, ones({4, 9}), zeros({4, 9}), 0.1)));
  EXPECT_TRUE(equal(nn::RMSNorm(9)(row), rms_norm(row, ones({9}), 0x1p-23)));
  EXPECT_TRUE(equal(nn::RMSNorm(9, {.eps = 0.1})(row), rms_norm(row, ones({9}), 0.1)));
}

TEST(Layers, BatchNormTracksStatistics) {
  nn::BatchNorm1d norm(2, {.momentum = 0.5});
  Tensor x = tensor({{1, 0}, {3, 4}});
  // Means 2 and 2, biased variances 1 and 4, unbiased 2 and 8.
  Tensor y = norm(x);
  EXPECT_TRUE(allclose(y.detach(), tensor({{-1, -1}, {1, 1}}), 0, 1e-5));
  EXPECT_EQ(norm.running_mean.to_vector(), (std::vector<double>{1, 1}));
  EXPECT_EQ(norm.running_var.to_vector(), (std::vector<double>{1.5, 4.5}));
  EXPECT_EQ(norm.num_batches_tracked.item(), 1);
  norm.eval();
  EXPECT_TRUE(allclose(norm(x).detach(), (x - 1.0) / tensor({std::sqrt(1.5), std::sqrt(4.5)}), 1e-4));
  EXPECT_EQ(norm.num_batches_tracked.item(), 1);
  EXPECT_EQ(norm(ones({3, 2, 5})).shape(), (Shape{3, 2, 5}));

  nn::BatchNorm1d untracked(2, {.track_running_stats = false});
  untracked.eval();
  EXPECT_TRUE(allclose(untracked(x).detach(), tensor({{-1, -1}, {1, 1}}), 0, 1e-5));
}

TEST(Layers, DropoutActsOnlyWhenTraining) {
  nn::Dropout drop(0.25);
  Tensor x = ones({10000}), y = drop(x);
  double kept = (y > 0.0).to(float32).mean().item();
  EXPECT_TRUE(std::abs(kept - 0.75) < 0.02);
  EXPECT_TRUE(std::abs(y.max().item() - 1 / 0.75) < 1e-6);
  drop.eval();
  EXPECT_TRUE(equal(drop(x), x));
}

TEST(Layers, EmbeddingDoesNotTrainItsPadding) {
  nn::Embedding embed(5, 3, {.padding_idx = -4});
  EXPECT_EQ(embed.weight.detach().select(0, 1).to_vector(), (std::vector<double>{0, 0, 0}));
  EXPECT_NE(embed.weight.detach().select(0, 0).to_vector(), (std::vector<double>{0, 0, 0}));
  embed(tensor({{1, 2}, {1, 0}}, {.dtype = int64})).sum().backward();
  EXPECT_EQ(embed.weight.grad().sum({1}).to_vector(), (std::vector<double>{3, 0, 3, 0, 0}));
}

TEST(Sequential, RunsModulesInTurn) {
  Sequential model(Linear(3, 4), nn::Tanh(), Linear(4, 2));
  Tensor x = randn({5, 3});
  Linear& first = model.get<Linear>(0);
  Linear& last = model.get<Linear>(2);
  EXPECT_TRUE(equal(model(x), last(tanh(first(x)))));
  EXPECT_EQ(model.size(), 3);
  EXPECT_THROW(model.get<ReLU>(0), Error);
  EXPECT_THROW(model[3], Error);
  model.append(nn::Softmax());
  Sequential moved = std::move(model);
  EXPECT_TRUE(allclose(moved(x).sum({1}).detach(), ones({5})));
  Sequential empty;
  EXPECT_TRUE(equal(empty(x), x));
  nn::ModuleList<Linear> list;
  list.append(Linear(1, 2));
  EXPECT_EQ(list[0].weight.shape(), (Shape{2, 1}));
  EXPECT_THROW(list[1], Error);
}

// --- initial values ------------------------------------------------------------------------------------------------

struct Moments {
  double mean, std, low, high;
};
Moments moments(const Tensor& x) {
  Tensor values = x.detach().to(float64);
  return {values.mean().item(), values.std().item(), values.min().item(), values.max().item()};
}

void expect_uniform(const Tensor& x, double bound) {
  Moments m = moments(x);
  EXPECT_TRUE(std::abs(m.mean) < 0.02 * bound);
  EXPECT_TRUE(std::abs(m.std - bound / std::sqrt(3.0)) < 0.01 * bound);
  EXPECT_TRUE(m.low >= -bound && m.low < -0.99 * bound);
  EXPECT_TRUE(m.high <= bound && m.high > 0.99 * bound);
}

void expect_normal(const Tensor& x, double std) {
  Moments m = moments(x);
  EXPECT_TRUE(std::abs(m.mean) < 0.02 * std);
  EXPECT_TRUE(std::abs(m.std - std) < 0.02 * std);
  EXPECT_TRUE(m.high > 3 * std && m.low < -3 * std);
}

TEST(Init, LayersStartAsPyTorchs) {
  manual_seed(1);
  Linear linear(200, 300);
  expect_uniform(linear.weight, 1 / std::sqrt(200.0));
  Moments bias = moments(linear.bias);
  EXPECT_TRUE(bias.high <= 1 / std::sqrt(200.0) && bias.high > 0.9 / std::sqrt(200.0));
  Conv2d conv(64, 128, 3, {.groups = 2});
  expect_uniform(conv.weight, 1 / std::sqrt(32 * 9.0));
  nn::ConvTranspose2d up(64, 128, 3, {.groups = 2});
  expect_uniform(up.weight,
                 1 / std::sqrt(64 * 9.0));  // PyTorch's fan_in of its (in, out / groups, ...) weight
  nn::Embedding embed(500, 100);
  expect_normal(embed.weight, 1);
}

TEST(Init, DrawsFromTheDefaultGeneratorOrTheOneGiven) {
  manual_seed(7);
  Linear a(3, 4);
  manual_seed(7);
  Linear b(3, 4), c(3, 4);
  EXPECT_TRUE(equal(a.weight.detach(), b.weight.detach()) && equal(a.bias.detach(), b.bias.detach()));
  EXPECT_FALSE(equal(b.weight.detach(), c.weight.detach()));
  Generator one(3), two(3);
  Tensor x = nn::kaiming_normal_(empty({4, 5}), {}, &one), y = nn::kaiming_normal_(empty({4, 5}), {}, &two);
  EXPECT_TRUE(equal(x, y));
}

TEST(Init, ScalesByFans) {
  manual_seed(2);
  Tensor w = empty({300, 50, 2, 2}, {.requires_grad = true});
  EXPECT_EQ(nn::fans(w).in, 200);
  EXPECT_EQ(nn::fans(w).out, 1200);
  expect_uniform(nn::xavier_uniform_(w), std::sqrt(6.0 / 1400));
  expect_normal(nn::xavier_normal_(w, 2), 2 * std::sqrt(2.0 / 1400));
  expect_uniform(nn::kaiming_uniform_(w), std::sqrt(6.0 / 200));
  expect_uniform(nn::kaiming_uniform_(w, {.a = std::sqrt(5.0)}), 1 / std::sqrt(200.0));
  expect_normal(nn::kaiming_normal_(w, {.mode = nn::FanMode::fan_out, .nonlinearity = nn::Nonlinearity::relu}),
                std::sqrt(2.0 / 1200));
  expect_normal(nn::kaiming_normal_(w, {.nonlinearity = nn::Nonlinearity::tanh}), 5.0 / 3 / std::sqrt(200.0));
  EXPECT_TRUE(w.requires_grad() && w.is_leaf());
  EXPECT_EQ(nn::gain(nn::Nonlinearity::linear), 1);
  EXPECT_EQ(error_of([] { nn::xavier_uniform_(empty({3})); }),
            "fans: weight [3] needs at least two dimensions, (out, in, ...)");
  EXPECT_EQ(nn::constant_(empty({2}), 3).to_vector(), (std::vector<double>{3, 3}));
  EXPECT_EQ(nn::ones_(empty({1})).item() + nn::zeros_(empty({1})).item(), 1);
  expect_uniform(nn::uniform_(empty({40000}), -2, 2), 2);
  expect_normal(nn::normal_(empty({40000}), 0, 3), 3);
}

TEST(Init, TruncatedNormalStaysInside) {
  manual_seed(3);
  Tensor x = nn::trunc_normal_(empty({50000}, {.dtype = float64}));
  Moments m = moments(x);
  EXPECT_TRUE(m.low >= -2 && m.low < -1.99 && m.high <= 2 && m.high > 1.99);
  EXPECT_TRUE(std::abs(m.mean) < 0.02);
  EXPECT_TRUE(std::abs(m.std - 0.8796) < 0.01);  // sqrt(1 - 4 phi(2) / (2 Phi(2) - 1))
  // A twentieth lies below the fifth percentile of the truncated distribution, -1.4721: Phi^-1(0.05 * 0.9545 +
  // 0.02275).
  double below = (x < -1.4721).to(float64).mean().item();
  EXPECT_TRUE(std::abs(below - 0.05) < 0.005) << below;
  Tensor tail = nn::trunc_normal_(empty({1000}), 1, 0.5, 3, 4);
  EXPECT_TRUE(tail.min().item() >= 3 && tail.max().item() <= 4);
  EXPECT_THROW(nn::trunc_normal_(empty({2}), 0, 1, 2, -2), Error);
}

TEST(Init, OrthogonalIsOrthogonal) {
  manual_seed(4);
  for (const Shape& shape : {Shape{20, 20}, Shape{10, 30}, Shape{30, 10}, Shape{16, 3, 5, 2}, Shape{1, 1}}) {
    Tensor w = nn::orthogonal_(empty(shape, {.dtype = float64}), 3).flatten(1);
    Tensor product = w.size(0) <= w.size(1) ? matmul(w, w.t()) : matmul(w.t(), w);
    EXPECT_TRUE(allclose(product, eye(product.size(0), {.dtype = float64}) * 9.0, 0, 1e-12)) << to_string(shape);
  }
  // Uniform, so each element has mean 0 and variance 1 / n.
  double sum = 0, squares = 0;
  for (int i = 0; i < 2000; ++i) {
    double corner = nn::orthogonal_(empty({4, 4}, {.dtype = float64})).data<double>()[0];
    sum += corner;
    squares += corner * corner;
  }
  EXPECT_TRUE(std::abs(sum / 2000) < 0.05);
  EXPECT_TRUE(std::abs(squares / 2000 - 0.25) < 0.03);
}

}  // namespace
}  // namespace gradus
