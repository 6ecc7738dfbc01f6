#include "augment.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <utility>

#include "color.h"

namespace image_classifier {

using namespace gradus;

namespace {

double between(Range range, Generator& random) { return range.low + (range.high - range.low) * random.uniform(); }

void check_box(const char* op, Range scale, Range ratio) {
  check(scale.low > 0 && scale.low <= scale.high && scale.high <= 1, op, ": shares of the area from ", scale.low,
        " to ", scale.high, ", expected within 0 to 1");
  check(ratio.low > 0 && ratio.low <= ratio.high, op, ": proportions from ", ratio.low, " to ", ratio.high,
        ", expected above 0");
}

// A box at a random place, of these shares of height * width; `ratio` is its width over its height. Ten tries.
std::optional<Box> random_box(int64_t height, int64_t width, Range scale, Range ratio, Generator& random) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = double(height * width) * between(scale, random);
    const double proportions = std::exp(between({std::log(ratio.low), std::log(ratio.high)}, random));
    const int64_t w = std::llround(std::sqrt(area * proportions)), h = std::llround(std::sqrt(area / proportions));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t top = random.below(height - h + 1);
    return Box{top, random.below(width - w + 1), h, w};
  }
  return {};
}

// Which two neighbouring pixels a new one lies between, and how far from the first.
struct Between {
  int64_t first, second;
  float share;
};
std::vector<Between> places(int64_t from, int64_t in, int64_t out) {
  std::vector<Between> all;
  for (int64_t i = 0; i < out; ++i) {
    const double at = std::max(0.0, (double(i) + 0.5) * double(in) / double(out) - 0.5);
    const int64_t first = int64_t(at);
    all.push_back({from + first, from + std::min(first + 1, in - 1), float(at - double(first))});
  }
  return all;
}

}  // namespace

void resized_crop(Tensor& image, const Box& box) {
  const int64_t height = image.size(1), width = image.size(2);
  const std::vector<Between> down = places(box.top, box.height, height), across = places(box.left, box.width, width);
  const Tensor copy = image.clone();
  const float* old = copy.data<float>();
  float* to = image.data<float>();
  for (int64_t c = 0; c < image.size(0); ++c, old += height * width) {
    for (const Between& y : down) {
      const float *upper = old + y.first * width, *lower = old + y.second * width;
      for (const Between& x : across) {
        const float above = upper[x.first] + (upper[x.second] - upper[x.first]) * x.share;
        const float below = lower[x.first] + (lower[x.second] - lower[x.first]) * x.share;
        *to++ = above + (below - above) * y.share;
      }
    }
  }
}

data::Transform random_resized_crop(Range scale, Range ratio) {
  check_box("random_resized_crop", scale, ratio);
  return [=](Tensor& image, Generator& random) {
    const int64_t height = image.size(1), width = image.size(2);
    std::optional<Box> box = random_box(height, width, scale, ratio, random);
    if (!box) {
      const int64_t w = std::min(width, int64_t(std::llround(double(height) * ratio.high)));
      const int64_t h = std::min(height, int64_t(std::llround(double(width) / ratio.low)));
      box = Box{(height - h) / 2, (width - w) / 2, h, w};
    }
    resized_crop(image, *box);
  };
}

data::Transform color_jitter(const ColorJitterOptions& o) {
  for (double x : {o.brightness, o.contrast, o.saturation, 2 * o.hue}) {
    check(x >= 0 && x <= 1, "color_jitter: brightness, contrast and saturation by ", o.brightness, ", ", o.contrast,
          " and ", o.saturation, ", expected 0 to 1, and hue by ", o.hue, ", expected 0 to 0.5");
  }
  return [o](Tensor& image, Generator& random) {
    // Each is drawn even if it is not used: what one option draws does not depend on the others.
    std::array<double, 4> by;
    for (double& x : by) x = 2 * random.uniform() - 1;
    std::array<int, 4> order = {0, 1, 2, 3};
    for (size_t i = 3; i > 0; --i) std::swap(order[i], order[size_t(random.below(int64_t(i) + 1))]);
    for (int which : order) {
      if (which == 0 && o.brightness > 0) adjust_brightness(image, 1 + o.brightness * by[0]);
      if (which == 1 && o.contrast > 0) adjust_contrast(image, 1 + o.contrast * by[1]);
      if (which == 2 && o.saturation > 0) adjust_saturation(image, 1 + o.saturation * by[2]);
      if (which == 3 && o.hue > 0) adjust_hue(image, o.hue * by[3]);
    }
  };
}

data::Transform random_erasing(double probability, Range scale, Range ratio) {
  check(probability >= 0 && probability <= 1, "random_erasing: probability ", probability, ", expected 0 to 1");
  check_box("random_erasing", scale, ratio);
  return [=](Tensor& image, Generator& random) {
    if (random.uniform() >= probability) return;
    const std::optional<Box> box =
        random_box(image.size(1), image.size(2), scale, {1 / ratio.high, 1 / ratio.low}, random);
    if (box) image.narrow(1, box->top, box->height).narrow(2, box->left, box->width).fill_(0);
  };
}

const std::vector<Operation> rand_augment_operations = {
    {"Identity", false, [](Tensor&, double) {}},
    // About the corner at the upper left.
    {"ShearX", true,
     [](Tensor& image, double level) {
       const float by = float(0.3 * level);
       data::affine(image, {1, 0, 0, by, 1, by * float(image.size(1)) / 2});
     }},
    {"ShearY", true,
     [](Tensor& image, double level) {
       const float by = float(0.3 * level);
       data::affine(image, {1, by, by * float(image.size(2)) / 2, 0, 1, 0});
     }},
    {"TranslateX", true,
     [](Tensor& image, double level) {
       data::affine(image, {1, 0, 0, 0, 1, -std::trunc(float(150.0 / 331 * level) * float(image.size(2)))});
     }},
    {"TranslateY", true,
     [](Tensor& image, double level) {
       data::affine(image, {1, 0, -std::trunc(float(150.0 / 331 * level) * float(image.size(1))), 0, 1, 0});
     }},
    {"Rotate", true,
     [](Tensor& image, double level) {
       const double angle = level * 30 * std::numbers::pi / 180;
       const float c = float(std::cos(angle)), s = float(std::sin(angle));
       data::affine(image, {c, s, 0, -s, c, 0});
     }},
    {"Brightness", true, [](Tensor& image, double level) { adjust_brightness(image, 1 + 0.9 * level); }},
    {"Color", true, [](Tensor& image, double level) { adjust_saturation(image, 1 + 0.9 * level); }},
    {"Contrast", true, [](Tensor& image, double level) { adjust_contrast(image, 1 + 0.9 * level); }},
    {"Sharpness", true, [](Tensor& image, double level) { adjust_sharpness(image, 1 + 0.9 * level); }},
    {"Posterize", false, [](Tensor& image, double level) { posterize(image, int(std::nearbyint(8 - 4 * level))); }},
    {"Solarize", false, [](Tensor& image, double level) { solarize(image, 1 - level); }},
    {"AutoContrast", false, [](Tensor& image, double) { autocontrast(image); }},
    {"Equalize", false, [](Tensor& image, double) { equalize(image); }},
};

data::Transform rand_augment(int operations, int magnitude) {
  check(operations >= 0 && magnitude >= 0 && magnitude <= 30, "rand_augment: ", operations,
        " operations of magnitude ", magnitude, ", expected at least 0, of magnitude 0 to 30");
  return [=](Tensor& image, Generator& random) {
    for (int i = 0; i < operations; ++i) {
      const Operation& o = rand_augment_operations[size_t(random.below(int64_t(rand_augment_operations.size())))];
      const bool backwards = random.uniform() < 0.5;
      o.apply(image, (o.two_directions && backwards ? -1 : 1) * magnitude / 30.0);
    }
  };
}

}  // namespace image_classifier
