// What happens to training images, beside torchvision's results and plain expectations.
#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "autograd/ops.h"
#include "data/transforms.h"
#include "examples/image_classifier/augment/augment.h"
#include "examples/image_classifier/augment/color.h"
#include "tests/golden.h"
#include "tests/paths.h"

namespace image_classifier {
namespace {

using namespace gradus;

Tensor colour(double r, double g, double b) {
  return tensor({r, g, b}).to(float32).reshape({3, 1, 1}).expand({3, 4, 5}).contiguous();
}

// Of whole shades, as files have them.
Tensor random_picture(const Shape& shape, uint64_t seed = 1) {
  Generator random(seed);
  return randint(0, 256, shape, {.dtype = int64}, &random).to(float32) / 255.0;
}

TEST(Augment, EqualsTorchvision) {
  const TensorFile file = load_safetensors(gradus::testing::source_dir() + "/tests/golden/transforms.safetensors");
  int compared = 0;
  for (const auto& [key, expected] : file.tensors) {
    SCOPED_TRACE(key);
    std::vector<std::string> words;
    std::istringstream text(key);
    for (std::string word; std::getline(text, word, '/');) words.push_back(word);
    if (words[0] == "in") continue;
    Tensor image = file.find("in/" + (words[0] == "out" ? words[3] : "rgb"))->clone();
    if (words[0] == "hue") {
      adjust_hue(image, words[1] == "0.333" ? 1.0 / 3 : std::stod(words[1]));
    } else if (words[0] == "crop") {
      Box box;
      char comma;
      std::istringstream(words[1]) >> box.top >> comma >> box.left >> comma >> box.height >> comma >> box.width;
      resized_crop(image, box);
    } else {
      for (const Operation& o : rand_augment_operations) {
        if (o.name == words[1]) o.apply(image, std::stod(words[2]) / 30);
      }
    }
    EXPECT_CLOSE(image, expected, 2e-5);
    ++compared;
  }
  EXPECT_EQ(compared, 54);
  EXPECT_EQ(rand_augment_operations.size(), 14);
}

TEST(Augment, ColoursChangeAsTheirNamesSay) {
  Tensor image = colour(1, 0, 0);
  adjust_hue(image, 1.0 / 3);
  EXPECT_CLOSE(image, colour(0, 1, 0), 1e-6);
  adjust_hue(image, 1.0 / 3);
  EXPECT_CLOSE(image, colour(0, 0, 1), 1e-6);
  adjust_hue(image, -0.5);  // to the other side of the circle
  EXPECT_CLOSE(image, colour(1, 1, 0), 1e-6);
  image = colour(0.3, 0.3, 0.3);
  adjust_hue(image, 0.2);
  EXPECT_CLOSE(image, colour(0.3, 0.3, 0.3), 0);
  const Tensor picture = random_picture({3, 6, 7});
  for (double turn : {0.0, 1.0, -1.0}) {
    image = picture.clone();
    adjust_hue(image, turn);
    EXPECT_CLOSE(image, picture, 1e-5);
  }

  image = colour(0.2, 0.4, 0.8);
  adjust_saturation(image, 0);
  EXPECT_CLOSE(image[0], image[2], 1e-6);
  EXPECT_NEAR(image.mean().item(), 0.2989 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8, 1e-6);
  image = colour(0.2, 0.4, 0.8);
  adjust_brightness(image, 1.5);
  EXPECT_CLOSE(image, colour(0.3, 0.6, 1), 1e-6);
  for (const Shape& shape : {Shape{1, 5, 3}, Shape{3, 5, 3}}) {
    image = random_picture(shape);
    adjust_contrast(image, 0);
    EXPECT_CLOSE(image, full_like(image, image.mean().item()), 1e-6);
    image = full(shape, 0.7);
    adjust_sharpness(image, 0);
    EXPECT_CLOSE(image, full(shape, 0.7), 1e-6);
  }
  image = zeros({1, 5, 5});  // one bright pixel: a thirteenth of its light on each neighbour, five on itself
  image.narrow(1, 2, 1).narrow(2, 2, 1).fill_(1);
  adjust_sharpness(image, 0);
  EXPECT_NEAR(image[0][2][2].item(), 5.0 / 13, 1e-6);
  EXPECT_NEAR(image[0][1][3].item(), 1.0 / 13, 1e-6);
  EXPECT_NEAR(image.sum().item(), 1, 1e-5);
}

TEST(Augment, ShadesChangeAsTheirNamesSay) {
  Tensor ramp = (arange(0, 256, 1) / 255.0).reshape({1, 16, 16}).contiguous();
  Tensor image = ramp.clone();
  posterize(image, 2);
  const std::vector<double> shades = image.to_vector();
  EXPECT_EQ(std::set<double>(shades.begin(), shades.end()), (std::set<double>{0, 0.25, 0.5, 0.75}));
  image = ramp.clone();
  solarize(image, 0.5);
  EXPECT_LE(image.max().item(), 0.5);
  EXPECT_CLOSE(image[0][0], ramp[0][0], 0);
  EXPECT_NEAR(image[0][15][15].item(), 0, 1e-6);
  image = ramp * 0.5 + 0.2;
  autocontrast(image);
  EXPECT_CLOSE(image, ramp, 1e-5);
  image = full({3, 4, 4}, 0.4);
  autocontrast(image);
  EXPECT_CLOSE(image, full({3, 4, 4}, 0.4), 0);

  // Dark shades become equally frequent ones: a straight line from 0 to 1, whatever it was before.
  Generator random(3);
  image = square(square(rand({1, 128, 128}, {}, &random)));
  EXPECT_LT(image.mean().item(), 0.25);
  equalize(image);
  EXPECT_NEAR(image.mean().item(), 0.5, 0.1);
  EXPECT_NEAR(image.max().item(), 1, 0.01);
  image = full({1, 40, 40}, 0.4);
  equalize(image);
  EXPECT_CLOSE(image, full({1, 40, 40}, 0.4), 0);  // one shade alone stays
}

TEST(Augment, ShearsKeepRows) {
  const Tensor picture = rand({2, 9, 9}) * 0 + arange(0, 9, 1).reshape({9, 1});  // rows of one shade each
  Tensor image = picture.contiguous().clone();
  for (const Operation& o : rand_augment_operations) {
    if (std::string(o.name) == "ShearX") o.apply(image, 1);
  }
  // The row below moved further, but nothing left its row: each is its shade or the zeros from outside.
  for (int64_t y = 0; y < 9; ++y) EXPECT_NEAR(image[0][y].max().item(), double(y), 1e-5);
  EXPECT_EQ(image[1][8][8].item() == 0 || image[1][8][0].item() == 0, true);
}

TEST(Augment, RandomResizedCropCutsAndEnlarges) {
  // A picture that says where each pixel came from.
  const Tensor x = arange(0, 20, 1).reshape({1, 1, 20}).expand({1, 10, 20}), y = arange(0, 10, 1).reshape({1, 10, 1});
  const Tensor picture = cat({x.contiguous(), y.expand({1, 10, 20}).contiguous()}, 0);
  Generator random(5);
  double area = 0, proportions = 0, middle = 0;
  const int trials = 2000;
  for (int trial = 0; trial < trials; ++trial) {
    Tensor image = picture.clone();
    random_resized_crop({0.1, 0.5})(image, random);
    // Behind the edges half a pixel is repeated, so the picture reaches from the first to the last pixel of the box.
    const double width = image[0].max().item() - image[0].min().item() + 1;
    const double height = image[1].max().item() - image[1].min().item() + 1;
    EXPECT_GE(width * height, 0.1 * 200 * 0.8);
    EXPECT_LE(width * height, 0.5 * 200 * 1.2);
    EXPECT_TRUE(equal(image[0][0], image[0][9]));  // columns stay columns
    area += width * height / 200 / trials;
    proportions += std::log(width / height) / trials;
    middle += image[0].mean().item() / trials;
  }
  EXPECT_NEAR(area, 0.3, 0.02);
  EXPECT_NEAR(proportions, 0, 0.03);
  EXPECT_NEAR(middle, 9.5, 0.3);
  // Nothing of these proportions fits: the middle, as high as it goes.
  Tensor image = picture.clone();
  random_resized_crop({1, 1})(image, random);
  EXPECT_NEAR(image[0].min().item(), 3, 0.6);  // 13 columns for 10 rows
  EXPECT_NEAR(image[0].max().item(), 15, 0.6);
  EXPECT_NEAR(image[1].max().item() - image[1].min().item(), 9, 1e-4);
  // The whole is the whole.
  Tensor whole = random_picture({3, 7, 7});
  const Tensor before = whole.clone();
  random_resized_crop({1, 1}, {1, 1})(whole, random);
  EXPECT_CLOSE(whole, before, 0);
  EXPECT_THROW(random_resized_crop({0, 1}), Error);
  EXPECT_THROW(random_resized_crop({0.5, 1.5}), Error);
  EXPECT_THROW(random_resized_crop({0.5, 1}, {2, 1}), Error);
}

TEST(Augment, RandomErasingMakesOneBox) {
  Generator random(6);
  int erased = 0;
  double area = 0, proportions = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    Tensor image = ones({3, 30, 20});
    random_erasing()(image, random);
    const Tensor hole = 1 - image;
    const double size = hole[0].sum().item();
    if (size == 0) continue;
    ++erased;
    EXPECT_TRUE(equal(hole[0], hole[2]));
    const double height = hole[0].amax({1}).sum().item(), width = hole[0].amax({0}).sum().item();
    EXPECT_EQ(height * width, size);  // a box
    area += size / 600;
    proportions += std::log(height / width);
  }
  EXPECT_NEAR(erased / 3000.0, 0.5, 0.04);
  EXPECT_NEAR(area / erased, 0.17, 0.02);
  EXPECT_NEAR(proportions / erased, 0, 0.15);
  EXPECT_THROW(random_erasing(1.5), Error);
}

TEST(Augment, ColorJitterKeepsToItsLimits) {
  Generator random(7);
  double least = 1, most = 0, sum = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    Tensor image = colour(0.4, 0.4, 0.4);
    color_jitter({.brightness = 0.5})(image, random);
    const double x = image[0][0][0].item();
    least = std::min(least, x);
    most = std::max(most, x);
    sum += x / 2000;
  }
  EXPECT_NEAR(least, 0.2, 0.005);
  EXPECT_NEAR(most, 0.6, 0.005);
  EXPECT_NEAR(sum, 0.4, 0.01);
  // All four, in any order: within the range, and of all colours.
  std::set<std::vector<double>> results;
  for (int trial = 0; trial < 50; ++trial) {
    Tensor image = random_picture({3, 5, 4});
    color_jitter({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1})(image, random);
    EXPECT_GE(image.min().item(), 0);
    EXPECT_LE(image.max().item(), 1);
    results.insert(image.to_vector());
  }
  EXPECT_EQ(results.size(), 50);
  Tensor image = random_picture({3, 5, 4});
  color_jitter({})(image, random);
  EXPECT_CLOSE(image, random_picture({3, 5, 4}), 0);
  EXPECT_THROW(color_jitter({.hue = 0.6}), Error);
  EXPECT_THROW(color_jitter({.contrast = -1}), Error);
}

TEST(Augment, RandAugmentDrawsAllOperations) {
  Generator random(8);
  const Tensor picture = random_picture({3, 9, 11});
  std::set<std::vector<double>> results;
  for (int trial = 0; trial < 600; ++trial) {
    Tensor image = picture.clone();
    rand_augment(1)(image, random);
    results.insert(image.to_vector());
  }
  // Nine with two directions, and posterize, solarize, autocontrast; equalize changes nothing of so few pixels, like
  // Identity.
  EXPECT_EQ(results.size(), 22);
  Tensor image = picture.clone();
  rand_augment(0)(image, random);
  EXPECT_TRUE(equal(image, picture));
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 1, 5}, Shape{1, 28, 28}, Shape{3, 33, 17}}) {
    for (int trial = 0; trial < 100; ++trial) {
      image = random_picture(shape);
      rand_augment(3, 30)(image, random);
      EXPECT_GE(image.min().item(), 0);
      EXPECT_LE(image.max().item(), 1);
    }
  }
  EXPECT_THROW(rand_augment(-1), Error);
  EXPECT_THROW(rand_augment(2, 31), Error);
}

TEST(Augment, AnyNumberOfWorkersGivesTheSame) {
  Generator random(9);
  for (int64_t channels : {1, 3}) {
    const Tensor images = randint(0, 256, {40, channels, 13, 10}, {.dtype = uint8}, &random);
    const data::ImageSet set = data::tensor_images(images, zeros({40}, {.dtype = int64}), {"one"});
    auto all = [&](int64_t workers, uint64_t seed) {
      auto loader =
          data::image_loader(set, {.batch_size = 8, .shuffle = true, .workers = workers, .seed = seed},
                             {random_resized_crop(), data::random_rotation(20), rand_augment(),
                              color_jitter({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1}),
                              data::normalize({0.5}, {0.25}), random_erasing()});
      std::vector<double> numbers;
      for (int epoch = 0; epoch < 2; ++epoch) {
        for (auto& batch : loader) {
          const std::vector<double> more = batch.images.to_vector();
          numbers.insert(numbers.end(), more.begin(), more.end());
        }
      }
      return numbers;
    };
    const std::vector<double> alone = all(0, 1);
    EXPECT_EQ(all(1, 1), alone);
    EXPECT_EQ(all(3, 1), alone);
    EXPECT_NE(all(0, 2), alone);
    EXPECT_FALSE(std::equal(alone.begin(), alone.begin() + std::ptrdiff_t(alone.size() / 2),
                            alone.begin() + std::ptrdiff_t(alone.size() / 2)));  // each epoch is different
  }
}

}  // namespace
}  // namespace image_classifier
