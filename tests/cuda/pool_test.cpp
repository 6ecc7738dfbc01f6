// Pooling on the device against the reference, with random windows, strides and padding.
#include <limits>
#include <random>
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tests/cuda/device.h"

namespace gradus {
namespace {

using testing::device_kernels;
using testing::difference;
using testing::on_device;
using testing::pointer;

std::string name(const Pool2d& p) {
  std::string s = p.adaptive ? "adaptive " : p.relu ? "relu " : "";
  for (int64_t x : {p.planes, p.height, p.width, p.out_h, p.out_w, p.kernel_h, p.kernel_w, p.stride_h, p.stride_w,
                    p.pad_h, p.pad_w, int64_t(p.count_include_pad)})
    s += std::to_string(x) + " ";
  return s;
}

class CudaPool : public testing::OnDevice {
 protected:
  std::mt19937 random_{1};
  int64_t below(int64_t n) { return int64_t(random_() % uint64_t(n)); }

  // Whole numbers of a few values, so that there are equals to choose from; now and then NaN and infinity.
  Tensor numbers(const Shape& shape, bool wild) {
    std::vector<double> v(size_t(numel(shape)));
    for (double& x : v) {
      x = double(below(9)) - 4;
      if (wild && below(20) == 0) x = below(2) ? NAN : -std::numeric_limits<double>::infinity();
    }
    return from_vector(v, shape);
  }
  static const KernelTable& reference(DType dtype) { return kernels(Device::cpu, dtype); }

  // What the device gives and what the reference gives in float64, rounded.
  void expect_maximum(const Pool2d& p, DType dtype, bool wild) {
    Tensor x = numbers({p.planes, p.height, p.width}, wild), g = numbers({p.planes, p.out_h, p.out_w}, false);
    Tensor y = zeros_like(g), dx = zeros_like(x), argmax = zeros(g.shape(), {.dtype = int64});
    Tensor cx = on_device(x.to(dtype)), cg = on_device(g.to(dtype));
    Tensor cy = on_device(y.to(dtype)), cdx = on_device(dx.to(dtype)), cargmax = on_device(argmax);
    reference(float64).max_pool2d(p, pointer(x), pointer(y), argmax.data<int64_t>());
    reference(float64).max_pool2d_grad(p, pointer(x), pointer(g), pointer(dx));
    const KernelTable& table = device_kernels(dtype);
    table.max_pool2d(p, pointer(cx), pointer(cy), static_cast<int64_t*>(pointer(cargmax)));
    EXPECT_EQ(difference(cy, y, 0), "") << name(p) << to_string(dtype);
    EXPECT_EQ(difference(cargmax, argmax, 0), "") << name(p) << to_string(dtype);
    cy = on_device(zeros_like(y).to(dtype));
    table.max_pool2d(p, pointer(cx), pointer(cy), nullptr);
    EXPECT_EQ(difference(cy, y, 0), "") << name(p) << to_string(dtype) << " without places";
    table.max_pool2d_grad(p, pointer(cx), pointer(cg), pointer(cdx));
    EXPECT_EQ(difference(cdx, dx.to(dtype), 0), "") << name(p) << to_string(dtype) << " gradient";
  }

  void expect_average(const Pool2d& p, DType dtype, bool wild) {
    Tensor x = numbers({p.planes, p.height, p.width}, wild), g = numbers({p.planes, p.out_h, p.out_w}, wild);
    Tensor y = zeros_like(g), dx = zeros_like(x);
    Tensor cx = on_device(x.to(dtype)), cg = on_device(g.to(dtype));
    Tensor cy = on_device(y.to(dtype)), cdx = on_device(dx.to(dtype));
    reference(float64).avg_pool2d(p, pointer(x), pointer(y));
    reference(float64).avg_pool2d_grad(p, pointer(g), pointer(dx));
    device_kernels(dtype).avg_pool2d(p, pointer(cx), pointer(cy));
    device_kernels(dtype).avg_pool2d_grad(p, pointer(cg), pointer(cdx));
    // Sums of at most 81 quotients, each rounded once.
    const double relative = dtype == bfloat16 ? 0x1p-8 : dtype == float32 ? 81 * 0x1p-24 : 81 * 0x1p-53;
    EXPECT_EQ(difference(cy, y, relative), "") << name(p) << to_string(dtype);
    EXPECT_EQ(difference(cdx, dx, relative), "") << name(p) << to_string(dtype) << " gradient";
  }

  // Padding is at most half the window, as the ops demand.
  Pool2d windows() {
    for (;;) {
      Pool2d p{};
      p.planes = 1 + below(4), p.height = 1 + below(14), p.width = 1 + below(20);
      p.kernel_h = 1 + below(6), p.kernel_w = 1 + below(6);
      p.stride_h = 1 + below(7), p.stride_w = 1 + below(7);
      p.pad_h = below(p.kernel_h / 2 + 1), p.pad_w = below(p.kernel_w / 2 + 1);
      if (p.height + 2 * p.pad_h < p.kernel_h || p.width + 2 * p.pad_w < p.kernel_w) continue;
      p.out_h = (p.height + 2 * p.pad_h - p.kernel_h) / p.stride_h + 1;
      p.out_w = (p.width + 2 * p.pad_w - p.kernel_w) / p.stride_w + 1;
      p.count_include_pad = below(2);
      p.relu = below(2);
      return p;
    }
  }
  Pool2d adaptive(int64_t height, int64_t width, int64_t out_h, int64_t out_w) {
    Pool2d p{};
    p.planes = 3, p.height = height, p.width = width, p.out_h = out_h, p.out_w = out_w;
    p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 1;
    p.adaptive = true;
    return p;
  }
};

constexpr DType types[] = {float32, float64, bfloat16};

TEST_F(CudaPool, MaximumEqualsReference) {
  for (int i = 0; i < 60; ++i) expect_maximum(windows(), types[i % 3], i % 2);
}

TEST_F(CudaPool, AverageEqualsReference) {
  for (int i = 0; i < 60; ++i) expect_average(windows(), types[i % 3], i % 4 == 3);
}

// Windows of 2 x 2 side by side are dealt with in pairs where the sizes allow it.
TEST_F(CudaPool, PairsOfWindows) {
  for (DType dtype : types) {
    for (auto [height, width] : {std::pair<int64_t, int64_t>{6, 8}, {2, 4}, {7, 8}, {6, 10}, {5, 5}}) {
      Pool2d p{};
      p.planes = 3, p.height = height, p.width = width, p.out_h = height / 2, p.out_w = width / 2;
      p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
      for (int i = 0; i < 4; ++i) {
        p.relu = i / 2;
        expect_maximum(p, dtype, i % 2);
      }
    }
  }
}

TEST_F(CudaPool, AdaptiveAverages) {
  for (DType dtype : types) {
    expect_average(adaptive(9, 9, 1, 1), dtype, false);
    expect_average(adaptive(9, 5, 4, 3), dtype, true);
    expect_average(adaptive(3, 2, 5, 7), dtype, false);  // more windows than elements
    expect_average(adaptive(1, 30, 1, 7), dtype, false);
  }
}

TEST_F(CudaPool, LargeWindows) {
  Pool2d p{};
  p.planes = 2, p.height = 11, p.width = 70, p.kernel_h = 3, p.kernel_w = 27, p.stride_h = 2, p.stride_w = 5;
  p.pad_h = 1, p.pad_w = 9, p.out_h = 6, p.out_w = 13;
  for (DType dtype : types) {
    expect_average(p, dtype, false);
    expect_maximum(p, dtype, true);
  }
}

TEST_F(CudaPool, NoPlanes) {
  Pool2d p{};
  p.planes = 0, p.height = p.width = 4, p.out_h = p.out_w = 2;
  p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
  expect_maximum(p, float32, false);
  expect_average(p, float32, false);
}

// What KeepInBfloat16 rounds, and the places that max_pool2d keeps instead.
TEST_F(CudaPool, KeepsInBfloat16AsTheHostDoes) {
  const Tensor data = randn({2, 4, 32, 32}), weights = randn({2, 4, 16, 16});
  const auto gradient = [&](Device device) {
    const Tensor x = data.to(device).requires_grad_();
    Tensor loss;
    {
      const KeepInBfloat16 guard;
      const Tensor y = square(x * 2.0);
      loss = square(y).sum() + (max_pool2d(y, {.kernel = 2}, true) * weights.to(device)).sum();
    }
    return grad({loss}, {x})[0].to(Device::cpu);
  };
  const Tensor there = gradient(Device::cuda), here = gradient(Device::cpu);
  EXPECT_EQ(difference(there, here, 1e-6), "");
}

}  // namespace
}  // namespace gradus
