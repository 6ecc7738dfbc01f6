// Pooling over windows of images (batch, channels, h, w).
#pragma once

#include "nn/module.h"
#include "nn/repr.h"

namespace gradus::nn {

struct MaxPool2dOptions {
  std::optional<Pair> stride = {};  // the kernel's size unless given
  Pair padding = 0;                 // at most half the kernel's size
  bool relu = false;                // of relu(x): saves the pass of a ReLU before it, and the memory for its result
};
struct AvgPool2dOptions {
  std::optional<Pair> stride = {};
  Pair padding = 0;
  bool count_include_pad = true;  // padding counts in the number divided by
};

// Constructors throw Error for sizes that are not positive and padding of more than half the kernel.
struct MaxPool2d : Stateless {
  PoolOptions options;
  bool relu;
  explicit MaxPool2d(Pair kernel_size, const MaxPool2dOptions& o = {});

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(max_pool2d(x, options, relu));
  }
  const char* type() const override { return "MaxPool2d"; }
  std::string describe() const override { return repr(options) + (relu ? ", relu=True" : ""); }
};

struct AvgPool2d : Stateless {
  PoolOptions options;
  bool count_include_pad;
  explicit AvgPool2d(Pair kernel_size, const AvgPool2dOptions& o = {});

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(avg_pool2d(x, options, count_include_pad));
  }
  const char* type() const override { return "AvgPool2d"; }
  std::string describe() const override { return repr(options); }
};

// The mean over windows chosen so that the output has a given size, whatever that of the input.
struct AdaptiveAvgPool2d : Stateless {
  Pair output_size;
  explicit AdaptiveAvgPool2d(Pair out);

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(adaptive_avg_pool2d(x, output_size));
  }
  const char* type() const override { return "AdaptiveAvgPool2d"; }
  std::string describe() const override { return "output_size=" + repr_square(output_size); }
};

}  // namespace gradus::nn
