// The image classifier's models of convolutions and their blocks: beside PyTorch's values and the parameters that
// papers and torchvision count, against differences, and at one and two threads.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "examples/image_classifier/models/plain.h"
#include "examples/image_classifier/models/resnet.h"
#include "nn/image_attention.h"
#include "tensor/kernels/cpu/threads.h"
#include "tests/errors.h"
#include "tests/golden.h"

namespace gradus {
namespace {

using gradus::testing::error_of;
using gradus::testing::Golden;
using image_classifier::Classifier;
using image_classifier::make_model;
using image_classifier::ModelOptions;
using image_classifier::Seen;
using nn::BlockAttention;
using nn::BlockKind;
using nn::ResidualBlock;
using nn::ResidualOptions;

// --- blocks --------------------------------------------------------------------------------------------------------

// Puts tensors in the places of a module's parameters, in their order, so that gradients go on to where they come from.
struct Substitute : nn::Visitor {
  std::span<const Tensor> left;
  explicit Substitute(std::span<const Tensor> tensors) : left(tensors) {}
  void parameter(const std::string&, Tensor& tensor) override {
    if (!tensor.defined()) return;
    tensor = left.front();
    left = left.subspan(1);
  }
  void buffer(const std::string&, Tensor&) override {}
  void child(const std::string&, nn::Module& module) override { module.visit(*this); }
};

// The gradients of every element of the input and the parameters, given as PyTorch's case has them.
template <class M>
void expect_derivatives(M module, const Tensor& x) {
  module.to(float64);
  std::vector<Tensor> inputs = {x.detach().requires_grad_()};
  for (const Tensor& p : module.parameters()) inputs.push_back(p.detach().clone().requires_grad_());
  auto run = [&](const std::vector<Tensor>& in) {
    Substitute(std::span(in).subspan(1)).child("", module);
    return module(in[0]);
  };
  EXPECT_EQ(error_of([&] { gradcheck(run, inputs); }), "");
}

Golden golden(const std::string& name) { return Golden(name, "resnet.safetensors"); }

void expect_block(const std::string& name, int64_t width, const ResidualOptions& options) {
  SCOPED_TRACE(name);
  Golden g = golden(name);
  ResidualBlock block = g.load(ResidualBlock(4, width, options));
  const Tensor x = g.in("x");
  Tensor map;
  std::map<std::string, Tensor> outputs = {{"output", block(x, &map)}};
  EXPECT_EQ(map.defined(), options.attention == BlockAttention::cbam);
  if (map.defined()) outputs["map"] = map;
  g.expect(block, outputs);
  expect_derivatives(std::move(block), x);
}

TEST(ResidualBlocks, EqualPyTorchAndTheirDifferences) {
  const auto bottleneck = BlockKind::bottleneck;
  expect_block("basic", 4, {});
  expect_block("basic_wider", 6, {.stride = 2});
  expect_block("bottleneck", 2, {.kind = bottleneck, .stride = 2});
  expect_block("basic_pre", 4, {.preactivation = true});
  expect_block("basic_first", 4, {.preactivation = true, .activate_shortcut = true});
  expect_block("bottleneck_pre", 2, {.kind = bottleneck, .stride = 2, .preactivation = true});
  expect_block("basic_se", 4, {.attention = BlockAttention::se, .reduction = 2});
  expect_block("basic_cbam", 4, {.attention = BlockAttention::cbam, .reduction = 2});
}

TEST(ResidualBlocks, BeginAsTheIdentityWhereTheLastScaleIsZero) {
  manual_seed(1);
  ResidualBlock block(4, 4);
  const Tensor x = randn({2, 4, 5, 5});
  EXPECT_FALSE(allclose(block(x), relu(x)));
  {
    NoGrad guard;
    block.last_norm().weight.fill_(0);
  }
  EXPECT_TRUE(equal(block(x), relu(x)));
}

TEST(ResidualBlocks, RefuseWhatDoesNotFit) {
  EXPECT_NE(error_of([] { ResidualBlock(4, 4, {.reduction = 0}); }).find("reduction 0"), std::string::npos);
  EXPECT_NE(error_of([] { ResidualBlock(4, 4)(zeros({1, 3, 5, 5})); }).find("conv1"), std::string::npos);
}

TEST(ImageAttention, EqualsPyTorchAndItsDifferences) {
  {
    Golden g = golden("se");
    nn::SqueezeExcitation se = g.load(nn::SqueezeExcitation(4, 2));
    const Tensor x = g.in("x");
    g.expect(se, {{"output", se(x)}});
    expect_derivatives(std::move(se), x);
  }
  {
    Golden g = golden("cbam");
    nn::CBAM cbam = g.load(nn::CBAM(4, 2));
    const Tensor x = g.in("x");
    Tensor map;
    const Tensor y = cbam(x, &map);
    g.expect(cbam, {{"output", y}, {"map", map}});
    expect_derivatives(std::move(cbam), x);
  }
  Golden g = golden("non_local");
  nn::NonLocalBlock block = g.load(nn::NonLocalBlock(4, 3));
  const Tensor x = g.in("x");
  Tensor weights;
  const Tensor y = block(x, &weights);
  EXPECT_CLOSE(block(x), y, 1e-12);  // in one kernel, without the weights
  g.expect(block, {{"output", y}, {"weights", weights}});
  expect_derivatives(std::move(block), x);
}

TEST(ImageAttention, ANonLocalBlockBeginsAsTheIdentity) {
  manual_seed(1);
  nn::NonLocalBlock block(6, 3);
  const Tensor x = randn({2, 6, 4, 5});
  EXPECT_TRUE(equal(block(x), x));
}

// --- models --------------------------------------------------------------------------------------------------------

struct Case {
  std::string name;
  ModelOptions options;
  Shape image;
  int64_t classes = 5;
};

// Those of tools/golden_resnet.py.
const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"linear", {.model = "linear"}, {1, 9, 7}},
      {"mlp", {.model = "mlp"}, {1, 9, 7}},
      {"lenet", {.model = "lenet"}, {1, 28, 28}, 10},
      {"cnn", {.model = "cnn"}, {3, 26, 24}},
      {"resnet", {.model = "resnet", .depth = 8, .width = 4}, {3, 13, 12}},
      {"resnet18", {.model = "resnet", .depth = 18, .width = 4, .stem = "imagenet"}, {3, 70, 65}},
      {"resnet50", {.model = "resnet", .depth = 50, .width = 4}, {1, 28, 25}},
      {"resnet_pre", {.model = "resnet", .depth = 14, .width = 4, .pre_activation = true}, {3, 13, 12}},
      {"resnet50_pre",
       {.model = "resnet", .depth = 50, .width = 4, .pre_activation = true, .stem = "imagenet"},
       {3, 70, 65}},
      {"se_resnet", {.model = "se_resnet", .depth = 8, .width = 8}, {3, 13, 12}},
      {"cbam_resnet", {.model = "cbam_resnet", .depth = 8, .width = 8}, {3, 13, 12}},
      {"self_attention_cnn", {.model = "self_attention_cnn", .depth = 8, .width = 4}, {3, 13, 12}},
  };
  return all;
}

std::unique_ptr<Classifier> made(const Case& c) {
  manual_seed(3);
  return make_model(c.options, c.image, c.classes);
}

Tensor images_of(const Case& c, int64_t batch) { return randn({batch, c.image[0], c.image[1], c.image[2]}); }

Tensor wave(const Shape& shape, double number) {
  const Tensor i = arange(0, double(numel(shape)), 1, {.dtype = float64});
  return sin(number + 0.7 * i + 0.01 * i * i).reshape(shape);
}

void set_waves(Classifier& model) {
  NoGrad guard;
  std::map<std::string, Tensor> state;
  for (const auto& [name, tensor] : model.state_dict()) state[name] = tensor;
  int number = 0;
  for (auto& [name, tensor] : state) {
    const Tensor numbers = wave(tensor.shape(), number++);
    if (tensor.dim() > 1) {
      tensor.copy_(numbers * std::sqrt(4.0 / double(tensor.numel() / tensor.size(0))));
    } else if (name.ends_with("weight") || name.ends_with("running_var")) {
      tensor.copy_(1.0 + 0.3 * numbers);
    } else if (!name.ends_with("num_batches_tracked")) {
      tensor.copy_(0.1 * numbers);
    }
  }
}

TEST(ImageModels, EqualPyTorch) {
  const TensorFile file = load_safetensors(testing::source_dir() + "/tests/golden/resnet.safetensors");
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto model = made(c);
    model->to(float64);
    set_waves(*model);
    const Tensor images = wave({3, c.image[0], c.image[1], c.image[2]}, 1).requires_grad_();
    auto expect = [&](const std::string& key, const Tensor& value) {
      const Tensor* theirs = file.find(c.name + "/" + key);
      ASSERT_TRUE(theirs) << key;
      EXPECT_FALSE(!(testing::difference(value, *theirs) <= 1e-8 * (1 + abs(*theirs).max().item())))
          << key << ": " << value << *theirs;
    };
    auto expect_gradient = [&](const std::string& key, const Tensor& g) {
      expect("grad/" + key, stack({g.norm(), (g * wave(g.shape(), 0.5)).sum()}));
    };
    const bool trains = c.name != "cnn";  // its dropout is random
    model->train(trains);
    const Tensor logits = (*model)(images);
    if (trains) expect("train", logits);
    (logits * wave(logits.shape(), 2)).sum().backward();
    expect_gradient("images", images.grad());
    for (const auto& [name, p] : model->named_parameters()) expect_gradient(name, p.grad());
    model->eval();
    expect("eval", (*model)(images));  // by the running statistics, as the pass before left them
  }
}

// Each parameter along a random direction, and the images along some: from one place in such a network every slope is
// measured, without passing the many corners of its ReLUs.
TEST(ImageModels, GradientsEqualDifferences) {
  constexpr int64_t image_directions = 8;
  for (Case c : cases()) {
    if (c.options.stem == "imagenet") c.image = {c.image[0], 38, 35};
    SCOPED_TRACE(c.name);
    const auto model = made(c);
    model->to(float64);
    model->train(c.name != "cnn");
    auto direction = [](const Shape& shape) {
      return randn(shape, {.dtype = float64}) / std::sqrt(double(numel(shape)));
    };
    std::vector<Tensor> weights, directions;
    for (const Tensor& p : model->parameters()) {
      weights.push_back(p.detach() + 0.1 * randn(p.shape(), {.dtype = float64}));  // none of them zero
      directions.push_back(direction(p.shape()));
    }
    const Tensor images = images_of(c, 2).to(float64);
    for (int64_t i = 0; i < image_directions; ++i) directions.push_back(direction(images.shape()));
    auto run = [&](const std::vector<Tensor>& in) {
      std::vector<Tensor> moved;
      Tensor moved_images = images;
      for (size_t i = 0; i < directions.size(); ++i) {
        const Tensor step = in[0].select(0, int64_t(i)) * directions[i];
        if (i < weights.size())
          moved.push_back(weights[i] + step);
        else
          moved_images = moved_images + step;
      }
      Substitute(moved).child("", *model);
      return (*model)(moved_images);
    };
    const Tensor steps = zeros({int64_t(directions.size())}, {.dtype = float64});
    EXPECT_EQ(error_of([&] { gradcheck(run, {steps.requires_grad_()}, {.step = 1e-7, .atol = 1e-6, .rtol = 1e-5}); }),
              "");
  }
}

TEST(ImageModels, OneAndTwoThreadsGiveTheSameBits) {
  const int before = num_threads();
  for (const char* name : {"linear", "mlp", "lenet", "cnn", "resnet", "se_resnet", "cbam_resnet",
                           "self_attention_cnn", "pre-activation", "resnet50"}) {
    SCOPED_TRACE(name);
    Case c = {name, {.model = name}, {3, 32, 32}, 9};
    if (c.name.ends_with("resnet") || c.name == "self_attention_cnn") c.options.depth = 14;
    if (c.name == "pre-activation") c.options = {.model = "resnet", .depth = 8, .pre_activation = true};
    if (c.name == "resnet50") c.options = {.model = "resnet", .depth = 50, .width = 8, .stem = "imagenet"};
    std::vector<std::vector<Tensor>> results;
    for (int threads : {1, 2}) {
      set_num_threads(threads);
      const auto model = made(c);
      const Tensor images = images_of(c, 9).requires_grad_();
      const Tensor loss = cross_entropy((*model)(images), arange(0, 9, 1, {.dtype = int64}));
      loss.backward();
      std::vector<Tensor>& result = results.emplace_back();
      result = {loss.detach(), images.grad()};
      for (const auto& [key, p] : model->named_parameters()) result.push_back(p.grad());
      for (const auto& [key, b] : model->named_buffers()) result.push_back(b);
    }
    for (size_t i = 0; i < results[0].size(); ++i) EXPECT_TRUE(equal(results[0][i], results[1][i])) << i;
  }
  set_num_threads(before);
}

int64_t parameters(const ModelOptions& options, const Shape& image, int64_t classes) {
  return make_model(options, image, classes)->parameter_count();
}

TEST(ImageModels, HaveAsManyParametersAsPublished) {
  // torchvision.models.resnet*, "num_params" of their weights.
  const std::map<int64_t, int64_t> torchvision = {
      {18, 11689512}, {34, 21797672}, {50, 25557032}, {101, 44549160}, {152, 60192808}};
  for (const auto& [depth, count] : torchvision)
    EXPECT_EQ(parameters({.model = "resnet", .depth = depth}, {3, 224, 224}, 1000), count) << depth;
  // He et al. 2016a, table 6, in millions; here with two projections where its shortcuts are padded.
  const std::map<int64_t, double> cifar = {{20, 0.27}, {32, 0.46}, {44, 0.66}, {56, 0.85}, {110, 1.7}, {1202, 19.4}};
  for (const auto& [depth, millions] : cifar) {
    const double digit = depth >= 110 ? 10 : 100;
    const double ours = double(parameters({.model = "resnet", .depth = depth}, {3, 32, 32}, 10)) / 1e6;
    const double projections = (16 * 32 + 2 * 32 + 32 * 64 + 2 * 64) / 1e6;
    EXPECT_EQ(std::round((ours - projections) * digit), std::round(millions * digit)) << depth;
  }
  // Hu et al. 2018, section 4, equation 5: 2,514,944 weights (2.5 million) more than ResNet-50, here with biases too.
  EXPECT_EQ(parameters({.model = "se_resnet", .depth = 50}, {3, 224, 224}, 1000), 25557032 + 2514944 + 16048);
  // Woo et al. 2018, table 4: 28.09 million.
  EXPECT_EQ(std::round(double(parameters({.model = "cbam_resnet", .depth = 50}, {3, 224, 224}, 1000)) / 1e4), 2809);
  // LeCun et al. 1998, figure 2, but for the differences in plain.h.
  for (int64_t size : {28, 32, 8, 64}) EXPECT_EQ(parameters({.model = "lenet"}, {1, size, size}, 10), 61706) << size;
}

TEST(ImageModels, TakeImagesOfAnySize) {
  NoGrad guard;
  for (const char* name :
       {"linear", "mlp", "lenet", "cnn", "resnet", "se_resnet", "cbam_resnet", "self_attention_cnn"})
    for (const Shape& image :
         {Shape{1, 8, 8}, Shape{1, 28, 28}, Shape{3, 32, 32}, Shape{3, 47, 33}, Shape{3, 96, 99}}) {
      const Case c = {name, {.model = name}, image, 7};
      SCOPED_TRACE(name);
      const auto model = made(c);
      model->eval();
      EXPECT_EQ((*model)(images_of(c, 1)).shape(), (Shape{1, 7}));
    }
}

TEST(ImageModels, SayWhatTheyLookedAt) {
  NoGrad guard;
  for (const char* name : {"resnet", "se_resnet", "cbam_resnet", "self_attention_cnn"}) {
    SCOPED_TRACE(name);
    const Case c = {name, {.model = name, .depth = 14, .width = 8}, {3, 28, 20}};
    const auto model = made(c);
    const Tensor images = images_of(c, 2);
    Seen seen;
    const Tensor maps = model->maps(images, &seen);
    EXPECT_EQ(maps.shape(), (Shape{2, 32, 7, 5}));
    EXPECT_TRUE(allclose(maps, model->maps(images), 1e-4, 1e-4));
    EXPECT_EQ(model->features(maps).shape(), (Shape{2, 32}));
    const bool spatial = std::string(name) == "cbam_resnet", attends = std::string(name) == "self_attention_cnn";
    ASSERT_EQ(seen.spatial.size(), spatial ? 6u : 0u);
    ASSERT_EQ(seen.attention.size(), attends ? 1u : 0u);
    if (spatial) {
      EXPECT_EQ(seen.spatial[0].shape(), (Shape{2, 1, 28, 20}));
      EXPECT_EQ(seen.spatial[5].shape(), (Shape{2, 1, 7, 5}));
      for (const Tensor& map : seen.spatial) EXPECT_TRUE(map.amin().item() > 0 && map.amax().item() < 1);
    }
    if (attends) {
      EXPECT_EQ(seen.attention[0].shape(), (Shape{2, 1, 140, 140}));
      EXPECT_TRUE(allclose(seen.attention[0].sum({-1}), ones({2, 1, 140})));
    }
  }
}

TEST(ImageModels, StemDependsOnTheImagesUnlessChosen) {
  auto kernel = [](const std::string& stem, int64_t size) {
    return make_model({.model = "resnet", .depth = 8, .stem = stem}, {3, size, size}, 10)
        ->state_dict()[0]
        .second.size(2);
  };
  EXPECT_EQ(kernel("auto", 95), 3);
  EXPECT_EQ(kernel("auto", 96), 7);
  EXPECT_EQ(kernel("small", 96), 3);
  EXPECT_EQ(kernel("imagenet", 28), 7);
}

TEST(ImageModels, ZeroInitIsOfTheLastNormalisationInBlocks) {
  const auto model = make_model({.model = "resnet", .depth = 8, .zero_init = true}, {1, 8, 8}, 10);
  for (const auto& [name, p] : model->named_parameters()) {
    if (p.dim() > 1 || !name.ends_with("weight")) continue;
    EXPECT_EQ(p.amax().item(), name.ends_with("bn2.weight") ? 0 : 1) << name;
  }
}

TEST(ImageModels, RefuseWhatDoesNotFit) {
  auto refused = [](const ModelOptions& options) { return error_of([&] { make_model(options, {3, 32, 32}, 10); }); };
  for (int64_t depth : {1, 2, 7, 19, 1208, 1000000000})
    EXPECT_NE(refused({.model = "resnet", .depth = depth}).find("resnet: depth " + std::to_string(depth)),
              std::string::npos);
  EXPECT_NE(refused({.model = "resnet", .depth = 1202, .width = 512}).find("million parameters"), std::string::npos);
  EXPECT_NE(refused({.model = "resnet", .pre_activation = true, .zero_init = true}).find("zero-init"),
            std::string::npos);
  EXPECT_NE(refused({.model = "resnet", .reduction = 8}).find("no use for --reduction"), std::string::npos);
  EXPECT_NE(refused({.model = "cnn", .depth = 8}).find("no use for --depth"), std::string::npos);
  EXPECT_NE(refused({.model = "lenet", .stem = "small"}).find("no use for --stem"), std::string::npos);
  EXPECT_NE(refused({.model = "no"}).find("no model 'no'"), std::string::npos);
}

}  // namespace
}  // namespace gradus
