// Convolutions and pooling of each instruction set against the reference, which is plain loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/isas.h"

namespace gradus {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

class ConvKernel : public testing::EachIsa {};
class PoolKernel : public testing::EachIsa {};

using Floats = std::vector<float>;
const KernelTable& table() { return kernels(Device::cpu, float32); }

// The place of the first element in which the two differ, or -1. NaN equals NaN here.
int64_t difference(const Floats& a, const Floats& b) {
  if (a.size() != b.size()) return 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i])))) return int64_t(i);
  }
  return -1;
}

std::string name(const Conv2d& c) {
  std::string s;
  for (int64_t x : {c.batch, c.in_channels, c.height, c.width, c.out_channels, c.kernel_h, c.kernel_w, c.stride_h,
                    c.stride_w, c.pad_h, c.pad_w, c.dilation_h, c.dilation_w, c.groups}) {
    s += std::to_string(x) + " ";
  }
  return s;
}

struct Convolution {
  Conv2d c;
  Floats x, w, bias, g;

  template <class F>
  Convolution(const Conv2d& setting, F next) : c(setting) {
    c.out_h = (c.height + 2 * c.pad_h - c.dilation_h * (c.kernel_h - 1) - 1) / c.stride_h + 1;
    c.out_w = (c.width + 2 * c.pad_w - c.dilation_w * (c.kernel_w - 1) - 1) / c.stride_w + 1;
    auto fill = [&](Floats& v, int64_t n) {
      for (int64_t i = 0; i < n; ++i) v.push_back(next());
    };
    fill(x, c.batch * c.in_channels * c.height * c.width);
    fill(w, c.out_channels * (c.in_channels / c.groups) * c.kernel_h * c.kernel_w);
    fill(bias, c.out_channels);
    fill(g, c.batch * c.out_channels * c.out_h * c.out_w);
  }
  Floats forward(bool biased) const {
    Floats y(g.size(), NAN);
    table().conv2d(c, x.data(), w.data(), biased ? bias.data() : nullptr, y.data());
    return y;
  }
  Floats grad_input() const {
    Floats dx(x.size(), NAN);
    table().conv2d_grad_input(c, g.data(), w.data(), dx.data());
    return dx;
  }
  Floats grad_weight() const {
    Floats dw(w.size(), NAN);
    table().conv2d_grad_weight(c, x.data(), g.data(), dw.data());
    return dw;
  }
};

bool three_by_three(const Conv2d& c) {
  return c.kernel_h * c.kernel_w == 9 && c.kernel_h == 3 &&
         c.stride_h * c.stride_w * c.dilation_h * c.dilation_w * c.groups == 1;
}

// The largest difference, in units of the root mean square of what is expected.
template <class T>
double relative_error(const Floats& got, const std::vector<T>& expected) {
  double error = 0, squares = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(double(got[i]) - double(expected[i]));
    if (!(d <= error)) error = d;
    squares += double(expected[i]) * double(expected[i]);
  }
  return error / std::sqrt(squares / double(got.size()));
}

// Of Winograd's convolutions: values of a normal distribution stray by 1e-6 of the root mean square, the largest of a
// million by five times as much, and sums over 512 channels by thrice as much as those over 64.
constexpr double winograd_error = 3e-5;

// Small whole numbers have exact sums, whatever their order.
TEST_P(ConvKernel, EqualsReference) {
  std::mt19937 random(1);
  auto below = [&](int64_t n) { return int64_t(random() % uint64_t(n)); };
  auto whole = [&] { return float(below(7) - 3); };
  int tried = 0;
  while (tried < 300) {
    Conv2d c{};
    c.groups = below(3) ? 1 : 1 + below(4);
    c.batch = 1 + below(4);
    c.in_channels = c.groups * (1 + below(below(4) ? 4 : 12));
    c.out_channels = c.groups * (1 + below(below(4) ? 6 : 40));
    c.height = 1 + below(18), c.width = 1 + below(below(3) ? 18 : 50);
    c.kernel_h = 1 + below(5), c.kernel_w = 1 + below(5);
    c.stride_h = 1 + below(3), c.stride_w = 1 + below(3);
    c.pad_h = below(4), c.pad_w = below(4);
    c.dilation_h = 1 + below(3), c.dilation_w = 1 + below(3);
    if (c.height + 2 * c.pad_h < c.dilation_h * (c.kernel_h - 1) + 1) continue;
    if (c.width + 2 * c.pad_w < c.dilation_w * (c.kernel_w - 1) + 1) continue;
    ++tried;
    Convolution conv(c, whole);
    bool biased = below(2);
    ASSERT_EQ(difference(conv.forward(biased), reference([&] { return conv.forward(biased); })), -1) << name(c);
    ASSERT_EQ(difference(conv.grad_input(), reference([&] { return conv.grad_input(); })), -1) << name(c);
    ASSERT_EQ(difference(conv.grad_weight(), reference([&] { return conv.grad_weight(); })), -1) << name(c);
  }
}

// What networks use, and what is cut into strips, blocks of channels and chunks of images.
std::vector<Conv2d> common_shapes() {
  auto shape = [](int64_t batch, int64_t in, int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad) {
    Conv2d c{};
    c.batch = batch, c.in_channels = in, c.height = c.width = size, c.out_channels = out;
    c.kernel_h = c.kernel_w = kernel;
    c.stride_h = c.stride_w = stride;
    c.pad_h = c.pad_w = pad;
    return c;
  };
  Conv2d depthwise = shape(2, 24, 20, 24, 3, 1, 1);
  depthwise.groups = 24;
  Conv2d small_planes = shape(3, 6, 5, 6, 3, 1, 1), no_margin = shape(2, 7, 39, 7, 3, 1, 0);
  small_planes.groups = 6, no_margin.groups = 7;
  Conv2d halved = shape(3, 9, 23, 9, 5, 2, 2);
  halved.groups = 9, halved.dilation_w = 2;
  Conv2d flat = shape(3, 5, 1, 7, 1, 1, 0);  // one-dimensional
  flat.width = 300, flat.kernel_w = 9, flat.pad_w = 4;
  return {shape(20, 1, 28, 32, 3, 1, 1),
          shape(6, 32, 14, 40, 3, 1, 1),
          shape(1, 3, 120, 16, 7, 2, 3),
          shape(2, 3, 32, 48, 4, 4, 0),
          shape(5, 64, 7, 70, 3, 1, 1),
          shape(1, 40, 45, 32, 3, 1, 1),
          shape(1, 48, 33, 32, 3, 2, 1),
          shape(1, 1, 90, 1, 5, 1, 2),
          shape(3, 16, 1, 8, 1, 1, 0),
          shape(1, 4, 150, 300, 1, 2, 0),
          depthwise,
          small_planes,
          no_margin,
          halved,
          flat};
}

TEST_P(ConvKernel, CommonShapes) {
  std::mt19937 random(2);
  auto whole = [&] { return float(int(random() % 5) - 2); };
  for (const Conv2d& c : common_shapes()) {
    Convolution conv(c, whole);
    const double bound = three_by_three(c) ? winograd_error : 0;
    auto expect_close = [&](const Floats& got, const Floats& expected) {
      EXPECT_FALSE(!(relative_error(got, expected) <= bound)) << name(c);
    };
    expect_close(conv.forward(true), reference([&] { return conv.forward(true); }));
    expect_close(conv.grad_input(), reference([&] { return conv.grad_input(); }));
    expect_close(conv.grad_weight(), reference([&] { return conv.grad_weight(); }));
  }
}

// Where tiles of outputs fit and where they do not, with blocks of tiles and of channels that are not full.
TEST_P(ConvKernel, Winograd) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  const KernelTable& exact = kernels(Device::cpu, float64);
  auto doubles = [](const Floats& v) { return std::vector<double>(v.begin(), v.end()); };
  struct {
    int64_t batch, in, height, width, out, pad_h, pad_w;
  } shapes[] = {{1, 16, 28, 28, 16, 1, 1},  {5, 64, 7, 7, 64, 1, 1},   {3, 33, 13, 14, 17, 0, 2},
                {2, 24, 31, 9, 40, 2, 0},   {70, 20, 4, 4, 31, 1, 1},  {3, 16, 12, 70, 8, 2, 2},
                {2, 70, 15, 15, 150, 1, 1}, {17, 129, 5, 6, 65, 1, 1}, {1, 48, 6, 130, 32, 0, 1},
                {2, 32, 20, 20, 32, 7, 8}};
  for (const auto& s : shapes) {
    Conv2d c{};
    c.batch = s.batch, c.in_channels = s.in, c.height = s.height, c.width = s.width, c.out_channels = s.out;
    c.kernel_h = c.kernel_w = 3;
    c.pad_h = s.pad_h, c.pad_w = s.pad_w;
    Convolution conv(c, [&] { return normal(random); });
    const auto x = doubles(conv.x), w = doubles(conv.w), bias = doubles(conv.bias), g = doubles(conv.g);
    std::vector<double> y(g.size()), dx(x.size()), dw(w.size());
    exact.conv2d(conv.c, x.data(), w.data(), bias.data(), y.data());
    exact.conv2d_grad_input(conv.c, g.data(), w.data(), dx.data());
    exact.conv2d_grad_weight(conv.c, x.data(), g.data(), dw.data());
    EXPECT_FALSE(!(relative_error(conv.forward(true), y) <= winograd_error)) << name(c);
    EXPECT_FALSE(!(relative_error(conv.grad_input(), dx) <= winograd_error)) << name(c);
    EXPECT_FALSE(!(relative_error(conv.grad_weight(), dw) <= winograd_error)) << name(c);
  }
}

// What is not finite spoils the tiles whose patches it is in, no others; a channel of zeros has gradients of zero.
TEST_P(ConvKernel, WinogradStaysInItsTiles) {
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  Conv2d c{};
  c.batch = 2, c.in_channels = 16, c.height = c.width = 16, c.out_channels = 32;
  c.kernel_h = c.kernel_w = 3;
  c.pad_h = c.pad_w = 1;
  Convolution conv(c, [&] { return normal(random); });
  for (int64_t image = 0; image < 2; ++image) std::fill_n(&conv.x[size_t(image * 16 + 3) * 256], 256, 0.f);
  Floats y = conv.forward(true), dw = conv.grad_weight();
  for (size_t i = 0; i < dw.size(); ++i) EXPECT_EQ(dw[i] == 0, i / 9 % 16 == 3) << i;
  conv.x[5 * 16 + 6] = inf;  // of the first image
  Floats spoiled = conv.forward(true);
  for (size_t i = 0; i < y.size(); ++i) {
    const bool touched = i < 32 * 256 && i / 16 % 16 / 4 == 1 && i % 16 / 4 == 1;
    EXPECT_TRUE(touched ? !std::isfinite(spoiled[i]) : spoiled[i] == y[i]) << i;
  }
}

TEST_P(ConvKernel, SameBitsForAnyThreads) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<Conv2d> shapes = common_shapes();
  Conv2d narrow{16, 100, 6, 6, 150, 3, 3, 6, 6};  // fewer blocks of Winograd's tiles than threads
  narrow.pad_h = narrow.pad_w = 1;
  shapes.push_back(narrow);
  for (const Conv2d& c : shapes) {
    Convolution conv(c, [&] { return normal(random); });
    set_num_threads(1);
    Floats y = conv.forward(true), dx = conv.grad_input(), dw = conv.grad_weight();
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      EXPECT_EQ(std::memcmp(y.data(), conv.forward(true).data(), y.size() * sizeof(float)), 0) << name(c);
      EXPECT_EQ(std::memcmp(dx.data(), conv.grad_input().data(), dx.size() * sizeof(float)), 0) << name(c);
      EXPECT_EQ(std::memcmp(dw.data(), conv.grad_weight().data(), dw.size() * sizeof(float)), 0) << name(c);
    }
  }
}

// An image gives the same output alone as among others, and what is not finite stays where it belongs.
TEST_P(ConvKernel, ImagesDoNotMix) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  Conv2d c{};
  c.batch = 3, c.in_channels = 2, c.height = 9, c.width = 11, c.out_channels = 5;
  c.kernel_h = c.kernel_w = 3;
  Convolution all(c, [&] { return normal(random); });
  Floats y = all.forward(true);
  Convolution one = all;
  size_t in = all.x.size() / 3, out = y.size() / 3;
  one.c.batch = 1;
  one.x = Floats(all.x.begin() + std::ptrdiff_t(in), all.x.begin() + std::ptrdiff_t(2 * in));
  one.g.resize(out);
  Floats alone = one.forward(true);
  EXPECT_EQ(std::memcmp(&y[out], alone.data(), out * sizeof(float)), 0);

  all.x[in + 10] = inf;  // the end of the first row: only the last column of taps ever sees it
  Floats dw = all.grad_weight(), spoiled = all.forward(true);
  for (size_t i = 0; i < dw.size(); ++i) EXPECT_EQ(std::isfinite(dw[i]), i / 9 % 2 == 1 || i % 9 != 2) << i;
  for (size_t i = 0; i < y.size(); ++i) {
    bool reached = i / out == 1 && i % 63 == 8;
    EXPECT_EQ(std::isfinite(spoiled[i]), !reached) << i;
  }
}

std::string name(const Pool2d& p) {
  std::string s = p.adaptive ? "adaptive " : p.count_include_pad ? "include pad " : "";
  for (int64_t x : {p.planes, p.height, p.width, p.out_h, p.out_w, p.kernel_h, p.kernel_w, p.stride_h, p.stride_w,
                    p.pad_h, p.pad_w}) {
    s += std::to_string(x) + " ";
  }
  return s;
}

struct Pooled {
  Floats y;
  std::vector<int64_t> argmax;
};

Pooled max_pool(const Pool2d& p, const Floats& x) {
  size_t n = size_t(p.planes * p.out_h * p.out_w);
  Pooled r{Floats(n, NAN), std::vector<int64_t>(n, -1)};
  table().max_pool2d(p, x.data(), r.y.data(), r.argmax.data());
  return r;
}
Floats max_pool_grad(const Pool2d& p, const Floats& x, const Floats& g) {
  Floats dx(size_t(p.planes * p.height * p.width), NAN);
  table().max_pool2d_grad(p, x.data(), g.data(), dx.data());
  return dx;
}
Floats avg_pool(const Pool2d& p, const Floats& x) {
  Floats y(size_t(p.planes * p.out_h * p.out_w), NAN);
  table().avg_pool2d(p, x.data(), y.data());
  return y;
}
Floats avg_pool_grad(const Pool2d& p, const Floats& g) {
  Floats dx(size_t(p.planes * p.height * p.width), NAN);
  table().avg_pool2d_grad(p, g.data(), dx.data());
  return dx;
}

double largest_error(const Floats& a, const Floats& b) {
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double d = std::abs(double(a[i]) - b[i]);
    if (!(d <= error)) error = d;
  }
  return error;
}

Pool2d random_pool(std::mt19937& random) {
  auto below = [&](int64_t n) { return int64_t(random() % uint64_t(n)); };
  for (;;) {
    Pool2d p{};
    p.planes = 1 + below(5), p.height = 1 + below(12), p.width = 1 + below(60);
    p.kernel_h = 1 + below(4), p.kernel_w = 1 + below(4);
    p.stride_h = 1 + below(3), p.stride_w = 1 + below(4);
    p.pad_h = below(p.kernel_h / 2 + 1), p.pad_w = below(p.kernel_w / 2 + 1);
    p.count_include_pad = below(2);
    if (p.height + 2 * p.pad_h < p.kernel_h || p.width + 2 * p.pad_w < p.kernel_w) continue;
    p.out_h = (p.height + 2 * p.pad_h - p.kernel_h) / p.stride_h + 1;
    p.out_w = (p.width + 2 * p.pad_w - p.kernel_w) / p.stride_w + 1;
    return p;
  }
}

// With ties, infinities and NaN: values and places are those of the reference to the letter.
TEST_P(PoolKernel, Max) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    Pool2d p = random_pool(random);
    p.relu = trial % 2;
    if (trial % 3 == 0 && p.height > 1 && p.width > 1) {  // what has a way of its own
      p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
      p.pad_h = p.pad_w = 0;
      p.out_h = p.height / 2, p.out_w = p.width / 2;
    }
    Floats x(size_t(p.planes * p.height * p.width));
    for (float& v : x) {
      unsigned r = random() % 20;
      v = r == 0 ? NAN : r < 5 ? -inf : r == 6 ? inf : float(random() % 5) - 2;
    }
    if (trial % 10 == 0) std::fill(x.begin(), x.end(), -inf);
    Pooled got = max_pool(p, x), expected = reference([&] { return max_pool(p, x); });
    ASSERT_EQ(difference(got.y, expected.y), -1) << name(p);
    ASSERT_EQ(got.argmax, expected.argmax) << name(p);
    Floats g(got.y.size());
    for (float& v : g) v = float(random() % 100);  // sums of these are exact
    ASSERT_EQ(max_pool_grad(p, x, g), reference([&] { return max_pool_grad(p, x, g); })) << name(p);
    Floats values(got.y.size(), NAN);
    table().max_pool2d(p, x.data(), values.data(), nullptr);
    ASSERT_EQ(difference(values, expected.y), -1) << name(p);
  }
}

TEST_P(PoolKernel, Average) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 300; ++trial) {
    Pool2d p = random_pool(random);
    if (trial % 3 == 0) {
      p.adaptive = true;
      p.out_h = 1 + int64_t(random() % 6), p.out_w = 1 + int64_t(random() % 20);
    }
    Floats x(size_t(p.planes * p.height * p.width)), g(size_t(p.planes * p.out_h * p.out_w));
    for (float& v : x) v = normal(random);
    for (float& v : g) v = normal(random);
    Floats y = avg_pool(p, x), dx = avg_pool_grad(p, g);
    ASSERT_LE(largest_error(y, reference([&] { return avg_pool(p, x); })), 2e-6) << name(p);
    ASSERT_LE(largest_error(dx, reference([&] { return avg_pool_grad(p, g); })), 2e-5) << name(p);
  }
}

TEST_P(PoolKernel, SameBitsForAnyThreads) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  Pool2d p{};
  p.planes = 50, p.height = p.width = 30, p.out_h = p.out_w = 15;
  p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
  p.count_include_pad = true;
  Floats x(size_t(p.planes * p.height * p.width)), g(size_t(p.planes * p.out_h * p.out_w));
  for (float& v : x) v = normal(random);
  for (float& v : g) v = normal(random);
  set_num_threads(1);
  Pooled best = max_pool(p, x);
  Floats y = avg_pool(p, x), dx = avg_pool_grad(p, g);
  for (int threads : {2, 4}) {
    set_num_threads(threads);
    Pooled again = max_pool(p, x);
    EXPECT_EQ(again.y, best.y);
    EXPECT_EQ(again.argmax, best.argmax);
    EXPECT_EQ(avg_pool(p, x), y);
    EXPECT_EQ(avg_pool_grad(p, g), dx);
  }
}

GRADUS_EACH_ISA(ConvKernel);
GRADUS_EACH_ISA(PoolKernel);

}  // namespace
}  // namespace gradus
