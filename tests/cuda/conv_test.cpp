// Convolutions on the device against the reference. Small whole numbers have exact sums in any order, so all must agree
// to the last bit: float32 and float64 with the sum itself, bfloat16 with its rounding.
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

std::string name(const Conv2d& c) {
  std::string s;
  for (int64_t x : {c.batch, c.in_channels, c.height, c.width, c.out_channels, c.kernel_h, c.kernel_w, c.stride_h,
                    c.stride_w, c.pad_h, c.pad_w, c.dilation_h, c.dilation_w, c.groups})
    s += std::to_string(x) + " ";
  return s;
}

Conv2d shape(int64_t batch, int64_t in, int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
             int64_t groups = 1, int64_t dilation = 1) {
  Conv2d c{};
  c.batch = batch, c.in_channels = in, c.height = c.width = size, c.out_channels = out;
  c.kernel_h = c.kernel_w = kernel, c.stride_h = c.stride_w = stride, c.pad_h = c.pad_w = pad;
  c.groups = groups, c.dilation_h = c.dilation_w = dilation;
  return c;
}

class CudaConv : public testing::OnDevice {
 protected:
  std::mt19937 random_{1};
  int64_t below(int64_t n) { return int64_t(random_() % uint64_t(n)); }
  Tensor whole(const Shape& of) {
    std::vector<double> v(size_t(numel(of)));
    for (double& x : v) x = double(below(7)) - 3;
    return from_vector(v, of);
  }

  void expect_equal(Conv2d c, DType dtype, bool biased = true) {
    c.out_h = (c.height + 2 * c.pad_h - c.dilation_h * (c.kernel_h - 1) - 1) / c.stride_h + 1;
    c.out_w = (c.width + 2 * c.pad_w - c.dilation_w * (c.kernel_w - 1) - 1) / c.stride_w + 1;
    Tensor x = whole({c.batch, c.in_channels, c.height, c.width});
    Tensor w = whole({c.out_channels, c.in_channels / c.groups, c.kernel_h, c.kernel_w});
    Tensor bias = whole({c.out_channels}), g = whole({c.batch, c.out_channels, c.out_h, c.out_w});
    Tensor y = zeros_like(g), dx = zeros_like(x), dw = zeros_like(w);
    const KernelTable& reference = kernels(Device::cpu, float64);
    reference.conv2d(c, pointer(x), pointer(w), biased ? pointer(bias) : nullptr, pointer(y));
    reference.conv2d_grad_input(c, pointer(g), pointer(w), pointer(dx));
    reference.conv2d_grad_weight(c, pointer(x), pointer(g), pointer(dw));

    const KernelTable& table = device_kernels(dtype);
    auto there = [&](const Tensor& t) { return on_device(t.to(dtype)); };
    Tensor cx = there(x), cw = there(w), cbias = there(bias), cg = there(g);
    Tensor cy = there(full_like(y, NAN)), cdx = there(full_like(x, NAN)), cdw = there(full_like(w, NAN));
    table.conv2d(c, pointer(cx), pointer(cw), biased ? pointer(cbias) : nullptr, pointer(cy));
    table.conv2d_grad_input(c, pointer(cg), pointer(cw), pointer(cdx));
    table.conv2d_grad_weight(c, pointer(cx), pointer(cg), pointer(cdw));
    EXPECT_EQ(difference(cy, y.to(dtype), 0), "") << name(c) << to_string(dtype) << " forward";
    EXPECT_EQ(difference(cdx, dx.to(dtype), 0), "") << name(c) << to_string(dtype) << " gradient of the input";
    EXPECT_EQ(difference(cdw, dw.to(dtype), 0), "") << name(c) << to_string(dtype) << " gradient of the weights";
  }
};

constexpr DType types[] = {float32, float64, bfloat16};

TEST_F(CudaConv, EqualsReference) {
  for (int tried = 0; tried < 60;) {
    Conv2d c{};
    c.groups = below(3) ? 1 : 1 + below(4);
    c.batch = 1 + below(3);
    c.in_channels = c.groups * (1 + below(below(4) ? 4 : 12));
    c.out_channels = c.groups * (1 + below(below(4) ? 6 : 40));
    c.height = 1 + below(12), c.width = 1 + below(below(3) ? 12 : 30);
    c.kernel_h = 1 + below(5), c.kernel_w = 1 + below(5);
    c.stride_h = 1 + below(4), c.stride_w = 1 + below(4);
    c.pad_h = below(4), c.pad_w = below(4);
    c.dilation_h = 1 + below(3), c.dilation_w = 1 + below(3);
    if (c.height + 2 * c.pad_h < c.dilation_h * (c.kernel_h - 1) + 1) continue;
    if (c.width + 2 * c.pad_w < c.dilation_w * (c.kernel_w - 1) + 1) continue;
    expect_equal(c, types[tried++ % 3], below(2));
  }
}

// Rows, columns and sums that fill tiles of each size, and such as do not.
TEST_F(CudaConv, CommonShapes) {
  for (DType dtype : types) {
    expect_equal(shape(2, 9, 12, 33, 3, 1, 1), dtype);       // planes of whole fours
    expect_equal(shape(1, 20, 7, 70, 3, 2, 1), dtype);       // odd planes; two of the input's rows in turn
    expect_equal(shape(2, 8, 8, 8, 1, 1, 0), dtype);         // plain products
    expect_equal(shape(2, 3, 16, 5, 4, 4, 0), dtype);        // patches
    expect_equal(shape(3, 8, 9, 12, 3, 1, 1, 2), dtype);     // groups
    expect_equal(shape(2, 4, 15, 6, 3, 2, 4, 1, 2), dtype);  // dilation that shares a divisor with the stride
    expect_equal(shape(2, 2, 9, 3, 2, 5, 0), dtype);         // pixels that no window sees
  }
}

TEST_F(CudaConv, LargeTiles) {
  expect_equal(shape(132, 2, 16, 66, 1, 1, 0), float32);
  expect_equal(shape(132, 66, 16, 2, 1, 1, 0), bfloat16);
}

TEST_F(CudaConv, Depthwise) {
  for (DType dtype : types) {
    expect_equal(shape(3, 6, 20, 6, 3, 1, 1, 6), dtype);
    expect_equal(shape(2, 7, 11, 7, 5, 2, 2, 7, 2), dtype, false);
    expect_equal(shape(2, 3, 9, 12, 3, 3, 1, 3), dtype);  // four outputs of each input
  }
}

TEST_F(CudaConv, OneDimension) {
  Conv2d c = shape(3, 5, 1, 7, 1, 1, 0);
  c.width = 40, c.kernel_w = 4, c.pad_w = 3;
  for (DType dtype : types) expect_equal(c, dtype);
}

TEST_F(CudaConv, NoImages) {
  for (int64_t groups : {1, 4}) expect_equal(shape(0, 4, 6, 8, 3, 1, 1, groups), float32);
}

// The same bits every time, of numbers whose sums depend on the order.
TEST_F(CudaConv, IsDeterministic) {
  Conv2d c = shape(9, 5, 13, 11, 3, 1, 1);
  c.out_h = c.out_w = 13;
  Tensor x = on_device(randn({9, 5, 13, 13})), g = on_device(randn({9, 11, 13, 13}));
  Tensor first = on_device(zeros({11, 5, 3, 3})), second = on_device(zeros({11, 5, 3, 3}));
  device_kernels(float32).conv2d_grad_weight(c, pointer(x), pointer(g), pointer(first));
  device_kernels(float32).conv2d_grad_weight(c, pointer(x), pointer(g), pointer(second));
  EXPECT_EQ(testing::on_host(first).to_vector(), testing::on_host(second).to_vector());
}

}  // namespace
}  // namespace gradus
