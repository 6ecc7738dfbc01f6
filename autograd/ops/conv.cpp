// Convolution (cross-correlation, as everywhere in deep learning). Three linear functions are each other's
// gradients, so derivatives of any order come out: with y = conv(x, w),
//   dx = conv_input(g, w), dw = conv_weight(x, g).
#include "autograd/ops/common.h"

namespace gradus {

namespace {

Tensor conv_input(const Conv2d& c, const Tensor& g, const Tensor& w);
Tensor conv_weight(const Conv2d& c, const Tensor& x, const Tensor& g);

void count_flops(const Conv2d& c) {
  flops_counted() +=
      2 * c.batch * c.out_channels * c.out_h * c.out_w * (c.in_channels / c.groups) * c.kernel_h * c.kernel_w;
}

//! [conv]
Tensor conv(const Conv2d& c, const Tensor& x, const Tensor& w, const Tensor& bias = {}) {
  Tensor y = empty({c.batch, c.out_channels, c.out_h, c.out_w}, x.options());
  Tensor b = bias.defined() ? plain(bias) : bias;
  if (y.numel()) kernels(x).conv2d(c, data_of(plain(x)), data_of(plain(w)), data_of(b), data_of(y));
  count_flops(c);
  return record("conv2d", {x, w, bias}, y, Keep::inputs, [c](const Tensor& g, const Kept& k) {
    Tensor dx, dw, db;
    if (k.needs(0)) dx = conv_input(c, g, k.input(1));
    if (k.needs(1)) dw = conv_weight(c, k.input(0), g);
    if (k.needs(2)) db = g.sum({0, 2, 3});
    return grads(dx, dw, db);
  });
}
//! [conv]

Tensor conv_input(const Conv2d& c, const Tensor& g, const Tensor& w) {
  Tensor dx = empty({c.batch, c.in_channels, c.height, c.width}, g.options());
  if (dx.numel()) kernels(g).conv2d_grad_input(c, data_of(plain(g)), data_of(plain(w)), data_of(dx));
  count_flops(c);
  return record("conv2d_input", {g, w}, dx, Keep::inputs, [c](const Tensor& h, const Kept& k) {
    Tensor dg, dw;
    if (k.needs(0)) dg = conv(c, h, k.input(1));
    if (k.needs(1)) dw = conv_weight(c, h, k.input(0));
    return grads(dg, dw);
  });
}

Tensor conv_weight(const Conv2d& c, const Tensor& x, const Tensor& g) {
  Tensor dw = zeros({c.out_channels, c.in_channels / c.groups, c.kernel_h, c.kernel_w}, x.options());
  if (g.numel()) kernels(x).conv2d_grad_weight(c, data_of(plain(x)), data_of(plain(g)), data_of(dw));
  count_flops(c);
  return record("conv2d_weight", {x, g}, dw, Keep::inputs, [c](const Tensor& h, const Kept& k) {
    Tensor dx, dg;
    if (k.needs(0)) dx = conv_input(c, k.input(1), h);
    if (k.needs(1)) dg = conv(c, k.input(0), h);
    return grads(dx, dg);
  });
}

// The part of Conv2d that the options and the weight decide; checks both.
Conv2d setting(const char* op, const Tensor& weight, const ConvOptions& o) {
  check(o.stride.h > 0 && o.stride.w > 0, op, ": stride must be positive, got ", o.stride);
  check(o.padding.h >= 0 && o.padding.w >= 0, op, ": padding must not be negative, got ", o.padding);
  check(o.dilation.h > 0 && o.dilation.w > 0, op, ": dilation must be positive, got ", o.dilation);
  check(o.groups > 0, op, ": groups must be positive, got ", o.groups);
  check(weight.dim() == 4 && weight.numel() > 0 && weight.size(0) % o.groups == 0, op, ": weight ", weight.shape(),
        " must have four dimensions, none of them 0, and a first size that ", o.groups, " groups divide");
  Conv2d c{};
  c.kernel_h = weight.size(2), c.kernel_w = weight.size(3);
  c.stride_h = o.stride.h, c.stride_w = o.stride.w;
  c.pad_h = o.padding.h, c.pad_w = o.padding.w;
  c.dilation_h = o.dilation.h, c.dilation_w = o.dilation.w;
  c.groups = o.groups;
  return c;
}

void check_bias(const char* op, const Tensor& bias, int64_t channels) {
  check(!bias.defined() || bias.shape() == Shape{channels}, op, ": bias ", bias.defined() ? bias.shape() : Shape{},
        " does not fit ", channels, " output channels");
}

Tensor checked_conv(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias,
                    const ConvOptions& o) {
  Tensor x = input, w = weight;
  promote_both(op, x, w);
  Conv2d c = setting(op, w, o);
  c.batch = x.size(0), c.in_channels = x.size(1), c.height = x.size(2), c.width = x.size(3);
  c.out_channels = w.size(0);
  check(c.in_channels == w.size(1) * c.groups, op, ": input ", x.shape(), " has ", c.in_channels,
        " channels, weight ", w.shape(), " in ", c.groups, c.groups == 1 ? " group" : " groups", " expects ",
        w.size(1) * c.groups);
  check_bias(op, bias, c.out_channels);
  int64_t span_h = c.dilation_h * (c.kernel_h - 1) + 1, span_w = c.dilation_w * (c.kernel_w - 1) + 1;
  check(c.height + 2 * c.pad_h >= span_h && c.width + 2 * c.pad_w >= span_w, op, ": input ", x.shape(),
        " with padding ", o.padding, " is smaller than the kernel ", Pair(c.kernel_h, c.kernel_w), " with dilation ",
        o.dilation);
  c.out_h = (c.height + 2 * c.pad_h - span_h) / c.stride_h + 1;
  c.out_w = (c.width + 2 * c.pad_w - span_w) / c.stride_w + 1;
  return conv(c, x, w, match(op, bias, x));
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
  check(x.dim() == 4, "conv2d: input must be (batch, channels, height, width), got ", x.shape());
  return checked_conv("conv2d", x, weight, bias, options);
}

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvOptions& o) {
  check(x.dim() == 3, "conv1d: input must be (batch, channels, length), got ", x.shape());
  check(weight.dim() == 3, "conv1d: weight must be (out, in / groups, kernel), got ", weight.shape());
  ConvOptions flat{{1, o.stride.w}, {0, o.padding.w}, {1, o.dilation.w}, o.groups};
  return checked_conv("conv1d", x.unsqueeze(2), weight.unsqueeze(2), bias, flat).squeeze(2);
}

Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const ConvOptions& o,
                        Pair output_padding) {
  const char* op = "conv_transpose2d";
  Tensor x = input, w = weight;
  promote_both(op, x, w);
  check(x.dim() == 4, op, ": input must be (batch, channels, height, width), got ", x.shape());
  Conv2d c = setting(op, w, o);
  check(x.size(1) == w.size(0), op, ": input ", x.shape(), " has ", x.size(1), " channels, weight ", w.shape(),
        " expects ", w.size(0));
  check(output_padding.h >= 0 && output_padding.h < std::max(o.stride.h, o.dilation.h) && output_padding.w >= 0 &&
            output_padding.w < std::max(o.stride.w, o.dilation.w),
        op, ": output_padding ", output_padding, " must be smaller than stride ", o.stride, " or dilation ",
        o.dilation);
  // x is the gradient of the convolution that goes the other way.
  c.batch = x.size(0), c.out_channels = x.size(1), c.out_h = x.size(2), c.out_w = x.size(3);
  c.in_channels = w.size(1) * c.groups;
  c.height = (c.out_h - 1) * c.stride_h - 2 * c.pad_h + c.dilation_h * (c.kernel_h - 1) + output_padding.h + 1;
  c.width = (c.out_w - 1) * c.stride_w - 2 * c.pad_w + c.dilation_w * (c.kernel_w - 1) + output_padding.w + 1;
  check(c.height > 0 && c.width > 0, op, ": input ", x.shape(), " with kernel ", Pair(c.kernel_h, c.kernel_w),
        " and padding ", o.padding, " leaves no output");
  check_bias(op, bias, c.in_channels);
  Tensor y = conv_input(c, x, w);
  return bias.defined() ? y + match(op, bias, x).reshape({1, c.in_channels, 1, 1}) : y;
}

}  // namespace gradus
