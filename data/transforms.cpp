#include "data/transforms.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "autograd/ops.h"

namespace gradus::data {

namespace {

struct Pixels {
  float* data;
  int64_t channels, height, width;
  explicit Pixels(Tensor& image)
      : data(image.data<float>()), channels(image.size(0)), height(image.size(1)), width(image.size(2)) {}
  float* row(int64_t c, int64_t y) const { return data + (c * height + y) * width; }
};

// Johnk's method: X = U^(1/a), Y = V^(1/a), accepted where X + Y <= 1; X / (X + Y) is Beta(a, a).
double beta_variate(double a, Generator& random) {
  for (;;) {
    const double log_x = std::log(1 - random.uniform()) / a, log_y = std::log(1 - random.uniform()) / a;
    const double top = std::max(log_x, log_y);
    const double log_sum = top + std::log(std::exp(log_x - top) + std::exp(log_y - top));
    if (log_sum <= 0) return std::exp(log_x - log_sum);
  }
}

}  // namespace

Transform normalize(std::vector<double> mean, std::vector<double> std) {
  check(!mean.empty() && mean.size() == std.size(), "normalize: ", mean.size(), " means but ", std.size(),
        " standard deviations");
  for (double s : std) check(s > 0, "normalize: standard deviation ", s, ", expected more than 0");
  return [mean, std](Tensor& image, Generator&) {
    const Pixels p(image);
    check(mean.size() == 1 || int64_t(mean.size()) == p.channels, "normalize: ", mean.size(), " means, image ",
          image.shape());
    for (int64_t c = 0; c < p.channels; ++c) {
      const size_t k = mean.size() == 1 ? 0 : size_t(c);
      const float m = float(mean[k]), scale = float(1 / std[k]);
      float* x = p.row(c, 0);
      for (int64_t i = 0; i < p.height * p.width; ++i) x[i] = (x[i] - m) * scale;
    }
  };
}

Transform random_crop(int64_t padding) {
  check(padding >= 0, "random_crop: padding ", padding, ", expected at least 0");
  return [padding](Tensor& image, Generator& random) {
    const Pixels p(image);
    // Which row and column of the old image the new one begins with.
    const int64_t down = random.below(2 * padding + 1) - padding, right = random.below(2 * padding + 1) - padding;
    const Tensor copy = image.clone();
    const float* old = copy.data<float>();
    std::fill_n(p.data, image.numel(), 0.0f);
    const int64_t x0 = std::max<int64_t>(-right, 0), x1 = std::min(p.width - right, p.width);
    for (int64_t c = 0; c < p.channels; ++c) {
      for (int64_t y = std::max<int64_t>(-down, 0); y < std::min(p.height - down, p.height); ++y) {
        const float* from = old + (c * p.height + y + down) * p.width + right;
        if (x0 < x1) std::copy(from + x0, from + x1, p.row(c, y) + x0);
      }
    }
  };
}

Transform random_horizontal_flip(double probability) {
  check(probability >= 0 && probability <= 1, "random_horizontal_flip: probability ", probability,
        ", expected 0 to 1");
  return [probability](Tensor& image, Generator& random) {
    const Pixels p(image);
    if (random.uniform() >= probability) return;
    for (int64_t y = 0; y < p.channels * p.height; ++y) std::reverse(p.row(0, y), p.row(0, y + 1));
  };
}

Transform random_rotation(double degrees) {
  check(degrees >= 0 && degrees <= 360, "random_rotation: ", degrees, " degrees, expected 0 to 360");
  return [degrees](Tensor& image, Generator& random) {
    const double angle = (2 * random.uniform() - 1) * degrees * std::numbers::pi / 180;
    const float c = float(std::cos(angle)), s = float(std::sin(angle));
    affine(image, {c, s, 0, -s, c, 0});
  };
}

void affine(Tensor& image, const std::array<float, 6>& m) {
  const Pixels p(image);
  const float mid_y = float(p.height - 1) / 2, mid_x = float(p.width - 1) / 2;
  const Tensor copy = image.clone();
  auto place = [&](int64_t y, int64_t x) {
    return y < 0 || y >= p.height || x < 0 || x >= p.width ? -1 : y * p.width + x;
  };
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      const float dy = float(y) - mid_y, dx = float(x) - mid_x;
      const float from_y = mid_y + m[0] * dy + m[1] * dx + m[2], from_x = mid_x + m[4] * dx + m[3] * dy + m[5];
      const int64_t y0 = int64_t(std::floor(from_y)), x0 = int64_t(std::floor(from_x));
      const float fy = from_y - float(y0), fx = from_x - float(x0);
      const int64_t corners[] = {place(y0, x0), place(y0, x0 + 1), place(y0 + 1, x0), place(y0 + 1, x0 + 1)};
      const float* old = copy.data<float>();
      for (int64_t c = 0; c < p.channels; ++c, old += p.height * p.width) {
        auto at = [&](int corner) { return corners[corner] < 0 ? 0.0f : old[corners[corner]]; };
        p.row(c, y)[x] = (1 - fy) * ((1 - fx) * at(0) + fx * at(1)) + fy * ((1 - fx) * at(2) + fx * at(3));
      }
    }
  }
}

Transform cutout(int64_t size) {
  check(size >= 1, "cutout: size ", size, ", expected at least 1");
  return [size](Tensor& image, Generator& random) {
    const Pixels p(image);
    const int64_t top = random.below(p.height) - size / 2, left = random.below(p.width) - size / 2;
    const int64_t x0 = std::max<int64_t>(left, 0), x1 = std::min(left + size, p.width);
    for (int64_t c = 0; c < p.channels; ++c) {
      for (int64_t y = std::max<int64_t>(top, 0); y < std::min(top + size, p.height); ++y) {
        std::fill(p.row(c, y) + x0, p.row(c, y) + x1, 0.0f);
      }
    }
  };
}

Mixup mixup(const ImageBatch& batch, double alpha, Generator& random) {
  check(alpha > 0, "mixup: alpha ", alpha, ", expected more than 0");
  const double weight = beta_variate(alpha, random);
  const Tensor order = randperm(batch.labels.size(0), &random).to(batch.labels.device());
  return {batch.images * weight + batch.images.index_select(0, order) * (1 - weight),
          batch.labels.index_select(0, order), weight};
}

Mixup cutmix(const ImageBatch& batch, double alpha, Generator& random) {
  check(alpha > 0, "cutmix: alpha ", alpha, ", expected more than 0");
  const double side = std::sqrt(1 - beta_variate(alpha, random));
  const Tensor order = randperm(batch.labels.size(0), &random).to(batch.labels.device());
  auto cut = [&](int64_t size) {  // from where to where
    const int64_t half = int64_t(side * double(size) / 2), middle = random.below(size);
    return std::pair(std::max<int64_t>(middle - half, 0), std::min(middle + half, size));
  };
  const std::pair rows = cut(batch.images.size(2)), columns = cut(batch.images.size(3));
  const auto box = [&](const Tensor& x) {
    return x.narrow(2, rows.first, rows.second - rows.first).narrow(3, columns.first, columns.second - columns.first);
  };
  Mixup mixed = {batch.images.clone(), batch.labels.index_select(0, order), 1};
  Tensor hole = box(mixed.images);
  hole.copy_(box(batch.images).index_select(0, order));
  mixed.weight -= double(hole.numel()) / double(batch.images.numel());
  return mixed;
}

}  // namespace gradus::data
