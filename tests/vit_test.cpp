// Vision Transformers and the modules they are made of.
#include "examples/image_classifier/models/vit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "nn/positions.h"
#include "optim/optim.h"
#include "tensor/kernels/cpu/threads.h"
#include "tests/errors.h"
#include "tests/golden.h"

namespace gradus {
namespace {

using gradus::testing::error_of;
using gradus::testing::Golden;
using image_classifier::ModelOptions;
using image_classifier::Seen;
using image_classifier::VisionTransformer;
using image_classifier::vit_options;
using image_classifier::VitOptions;

void expect_refused(const std::string& error, const std::string& words) {
  EXPECT_NE(error.find(words), std::string::npos) << error << "\nshould say: " << words;
}

// --- modules -------------------------------------------------------------------------------------------------------

TEST(PatchEmbedding, IsAConvolutionWithoutOverlap) {
  manual_seed(1);
  nn::PatchEmbedding patches(3, 5, {2, 4});
  patches.to(float64);
  const Tensor x = randn({2, 3, 6, 8}, {.dtype = float64, .requires_grad = true});
  const Tensor places = patches(x);
  EXPECT_EQ(places.shape(), (Shape{2, 6, 5}));
  const Tensor maps = conv2d(x, patches.weight, patches.bias, {.stride = {2, 4}});
  EXPECT_CLOSE(places, maps.flatten(2).transpose(1, 2), 1e-12);

  const std::vector<Tensor> inputs = {x, patches.weight, patches.bias};
  EXPECT_NO_THROW(gradcheck([&](const std::vector<Tensor>&) { return patches(x); }, inputs));
  expect_refused(error_of([&] { return patches(randn({2, 3, 6, 9})); }), "x [2, 3, 6, 9], expected (batch, 3, a");
  expect_refused(error_of([&] { return patches(randn({2, 1, 6, 8})); }), "PatchEmbedding: x [2, 1, 6, 8]");
}

TEST(DropPath, LeavesOutWholeSamplesAndKeepsTheMean) {
  manual_seed(1);
  nn::DropPath path(0.25);
  const Tensor x = randn({4000, 2, 3}), y = path(x);
  const Tensor factor = y / x;
  int64_t dropped = 0;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const double first = factor[i][0][0].item();
    EXPECT_TRUE(first == 0 || std::abs(first - 1 / 0.75) < 1e-6) << first;
    EXPECT_CLOSE(factor[i], full({2, 3}, first), 1e-6);
    dropped += first == 0;
  }
  EXPECT_NEAR(double(dropped) / 4000, 0.25, 4 * std::sqrt(0.25 * 0.75 / 4000));  // four standard deviations
  EXPECT_EQ(nn::DropPath(1)(x).norm().item(), 0);
  EXPECT_TRUE(equal(nn::DropPath(0)(x), x));
  path.eval();
  EXPECT_TRUE(equal(path(x), x));
  expect_refused(error_of([] { return nn::DropPath(1.5); }), "probability 1.5 must be between 0 and 1");
}

TEST(DropPath, HasTheGradientOfItsScale) {
  const nn::DropPath path(0.5);
  const Tensor x = randn({6, 2}, {.dtype = float64, .requires_grad = true});
  EXPECT_NO_THROW(gradcheck(
      [&](const std::vector<Tensor>& in) {
        manual_seed(3);  // the same samples each time
        return path(in[0]);
      },
      {x}));
}

TEST(SinusoidalPositions2d, TellRowsFromColumns) {
  const Tensor p = nn::sinusoidal_positions_2d(3, 5, 8);
  EXPECT_EQ(p.shape(), (Shape{15, 8}));
  std::set<std::vector<double>> different;
  for (int64_t i = 0; i < 15; ++i) different.insert(p[i].to_vector());
  EXPECT_EQ(different.size(), 15u);
  const Tensor grid = p.reshape({3, 5, 8});
  for (int64_t row = 0; row < 3; ++row)
    for (int64_t column = 0; column < 5; ++column) {
      EXPECT_TRUE(equal(grid[row][column].narrow(0, 0, 4), nn::sinusoidal_positions(1, 4, row)[0]));
      EXPECT_TRUE(equal(grid[row][column].narrow(0, 4, 4), nn::sinusoidal_positions(1, 4, column)[0]));
    }
  expect_refused(error_of([] { return nn::sinusoidal_positions_2d(3, 5, 6); }),
                 "6 features, expected a multiple of 4");
}

// --- models --------------------------------------------------------------------------------------------------------

const Shape small_image = {3, 12, 12};
const VitOptions small = {.patch = 4, .layers = 2, .features = 8, .heads = 2};

VitOptions with_mean(VitOptions o) {
  o.class_token = o.learned_positions = false;
  return o;
}
VitOptions with_stem(VitOptions o) {
  o.convolutional_stem = true;
  return o;
}

// With no weight at the 0 or 1 where it begins.
VisionTransformer random_model(const VitOptions& options) {
  VisionTransformer model(options, small_image, 3);
  NoGrad guard;
  for (Tensor& p : model.parameters()) p.add_(0.3 * randn(p.shape()));
  return model;
}

TEST(VisionTransformer, ComputesAsTorchvision) {
  for (const auto& [name, options] : {std::pair<const char*, VitOptions>{"vit", small},
                                      {"vit_mean", with_mean(small)},
                                      {"conv_vit", with_stem(small)}}) {
    SCOPED_TRACE(name);
    Golden g(name, "vit.safetensors");
    VisionTransformer model = g.load(VisionTransformer(options, small_image, 3));
    g.expect(model, {{"logits", model(g.in("x"))}}, 1e-11);
  }
  // Fixed positions were loaded above; here they are made.
  const Tensor fixed = VisionTransformer(with_mean(small), small_image, 3).named_buffers()[0].second;
  EXPECT_CLOSE(fixed, Golden("vit_mean", "vit.safetensors")("vit_mean/state/encoder.pos_embedding"), 1e-7);
}

// For 1000 classes and images of 224 x 224. The layers are alike, so that two tell how many 24 have.
int64_t parameters_of(VitOptions o) {
  auto count = [&](int64_t layers) {
    VitOptions few = o;
    few.layers = layers;
    return VisionTransformer(few, {3, 224, 224}, 1000).parameter_count();
  };
  const int64_t one = count(1);
  return one + (o.layers - 1) * (count(2) - one);
}

TEST(VisionTransformer, HasTheParametersOfThePapers) {
  EXPECT_EQ(parameters_of({}), 86567656);  // torchvision's vit_b_16
  EXPECT_EQ(parameters_of({.patch = 32}), 88224232);
  EXPECT_EQ(parameters_of({.layers = 24, .features = 1024, .heads = 16}), 304326632);
  EXPECT_EQ(parameters_of({.features = 192, .heads = 3}), 5717416);  // DeiT-Ti: Touvron et al. 2021
  EXPECT_EQ(parameters_of({.features = 384, .heads = 6}), 22050664);
}

TEST(VisionTransformer, HasTheGradientsOfDifferences) {
  VitOptions tiny = {.patch = 2, .layers = 2, .features = 4, .heads = 2, .dropout = 0.1, .drop_path = 0.3};
  for (const VitOptions& options : {tiny, with_mean(tiny), with_stem(tiny)}) {
    manual_seed(2);
    VisionTransformer model(options, {1, 4, 4}, 2);
    {
      NoGrad guard;
      for (Tensor& p : model.parameters()) p.add_(0.3 * randn(p.shape()));
    }
    model.to(float64);
    const Tensor x = randn({3, 1, 4, 4}, {.dtype = float64, .requires_grad = true});
    std::vector<Tensor> inputs = model.parameters();
    inputs.push_back(x);
    EXPECT_NO_THROW(gradcheck(
        [&](const std::vector<Tensor>&) {
          manual_seed(3);
          return model(x);
        },
        inputs));
  }
}

TEST(VisionTransformer, TrainsToTheSameBitsOnAnyNumberOfThreads) {
  auto trained = [](const VitOptions& options, int threads) {
    set_num_threads(threads);
    manual_seed(4);
    VisionTransformer model(options, {1, 28, 28}, 10);
    optim::AdamW optimizer(model.parameters(), {.lr = 0.01});
    for (int step = 0; step < 3; ++step) {
      const Tensor x = randn({8, 1, 28, 28});
      optimizer.zero_grad();
      cross_entropy(model(x), randint(0, 10, {8})).backward();
      optimizer.step();
    }
    std::vector<Tensor> values;
    for (const auto& [name, value] : model.state_dict()) values.push_back(value.clone());
    return values;
  };
  const int before = num_threads();
  const VitOptions wide = {.patch = 4, .layers = 2, .features = 64, .heads = 2, .dropout = 0.1, .drop_path = 0.2};
  for (const VitOptions& options : {wide, with_mean(wide), with_stem(wide)}) {
    const std::vector<Tensor> one = trained(options, 1), two = trained(options, 2);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(equal(one[i], two[i])) << i;
  }
  set_num_threads(before);
}

TEST(VisionTransformer, ShowsItsAttention) {
  manual_seed(5);
  for (const VitOptions& options : {small, with_mean(small)}) {
    VisionTransformer model = random_model(options);
    model.eval();
    const Tensor x = randn({2, 3, 12, 12});
    Seen seen;
    const Tensor maps = model.maps(x, &seen);
    const int64_t places = options.class_token ? 10 : 9;
    EXPECT_EQ(maps.shape(), (Shape{2, places, 8}));
    EXPECT_CLOSE(model.head()(model.features(maps)), model(x), 1e-5);
    ASSERT_EQ(seen.attention.size(), 2u);
    for (const Tensor& weights : seen.attention) {
      EXPECT_EQ(weights.shape(), (Shape{2, 2, places, places}));
      EXPECT_CLOSE(weights.sum({-1}), ones({2, 2, places}), 1e-5);
    }
  }
  VisionTransformer model = random_model(small);
  expect_refused(error_of([&] {
                   return model(randn({2, 3, 8, 12}));
                 }),
                 "images [2, 3, 8, 12], made for (batch, 3, 12, 12)");
}

TEST(VisionTransformer, LeavesOutLaterLayersMoreOften) {
  const auto chances = [](int64_t layers) {
    VitOptions options = small;
    options.layers = layers;
    options.drop_path = 0.3;
    VisionTransformer model(options, small_image, 3);
    std::vector<double> p;
    for (const auto& [path, module] : model.named_modules())
      if (const auto* drop = dynamic_cast<nn::DropPath*>(module)) p.push_back(drop->p);
    return p;
  };
  const std::vector<double> p = chances(4);
  ASSERT_EQ(p.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(p[i], 0.1 * double(i), 1e-12);
  EXPECT_EQ(chances(1), (std::vector<double>{0.3}));  // the only layer is the last
}

TEST(VitOptions, AreUsualForTheImageOrRefused) {
  const auto patch_for = [](int64_t side) { return vit_options({.model = "vit"}, {3, side, side}).patch; };
  EXPECT_EQ(patch_for(8), 1);
  EXPECT_EQ(patch_for(28), 4);
  EXPECT_EQ(patch_for(32), 4);
  EXPECT_EQ(patch_for(64), 8);
  EXPECT_EQ(patch_for(224), 16);
  EXPECT_EQ(vit_options({.model = "vit", .width = 200}, {3, 32, 32}).heads, 2);  // 3 do not divide it
  EXPECT_EQ(vit_options({.model = "conv_vit"}, {3, 32, 32}).layers, 5);

  const auto refused = [](ModelOptions o, const std::string& words, const Shape& image = {3, 28, 28}) {
    if (o.model == "cnn") o.model = "vit";
    expect_refused(error_of([&] { return vit_options(o, image); }), o.model + ": " + words);
  };
  refused({.patch = 3}, "patches of 3 x 3 do not divide images of 28 x 28");
  refused({}, "images of 4095 x 4096 have more than 16384 patches of 1 x 1", {3, 4095, 4096});
  refused({.heads = 5}, "5 heads do not divide 192 features");
  refused({.width = 190, .positions = "sinusoidal"}, "sinusoidal positions need a multiple of 4 features, got 190");
  refused({.model = "conv_vit", .patch = 7}, "patches of 7 and 192 features, expected a power of two");
  refused({.width = 4096}, "6 layers of 4096 features have more than 1000000000 parameters");
  refused({.drop_path = 1}, "dropout 0 and drop-path 1, expected shares from 0 to below 1");
  refused({.dropout = NAN}, "dropout nan");
}

}  // namespace
}  // namespace gradus
