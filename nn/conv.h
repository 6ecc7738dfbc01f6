// Convolutions. Sizes are int or (height, width): Conv2d(1, 32, 3, {.padding = 1}).
#pragma once

#include "nn/module.h"

namespace gradus::nn {

struct Conv1dOptions {
  int64_t stride = 1, padding = 0, dilation = 1, groups = 1;
  bool bias = true;
};
struct Conv2dOptions {
  Pair stride = 1, padding = 0, dilation = 1;
  int64_t groups = 1;
  bool bias = true;
};
struct ConvTranspose2dOptions {
  Pair stride = 1, padding = 0, output_padding = 0;
  int64_t groups = 1;
  bool bias = true;
  Pair dilation = 1;
};

// What the three have in common. Weight and bias start uniform within 1 / sqrt(fan_in), as PyTorch's.
// Constructors throw Error for sizes that are not positive and channels that the groups do not divide.
class Convolution : public Module {
 public:
  Tensor weight, bias;  // bias: (out_channels), or undefined
  ConvOptions options;

  void visit(Visitor& v) override {
    v("weight", weight);
    v("bias", bias);
  }
  std::string describe() const override;

 protected:
  Convolution(const char* type, int64_t in_channels, int64_t out_channels, Pair kernel, const ConvOptions& options,
              bool bias, bool transposed, int spatial_dims, Pair output_padding = 0);

  int64_t in_channels_, out_channels_;
  Pair output_padding_;
  int spatial_dims_;
};

// (batch, in_channels, length) to (batch, out_channels, out_length), where out_length is
// floor((length + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
struct Conv1d : Convolution {
  Conv1d(int64_t in_channels, int64_t out_channels, int64_t kernel_size, const Conv1dOptions& options = {});
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(conv1d(x, weight, bias, options));
  }
  const char* type() const override { return "Conv1d"; }
};

// (batch, in_channels, h, w) to (batch, out_channels, out_h, out_w), each size as for Conv1d.
struct Conv2d : Convolution {
  Conv2d(int64_t in_channels, int64_t out_channels, Pair kernel_size, const Conv2dOptions& options = {});
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(conv2d(x, weight, bias, options));
  }
  const char* type() const override { return "Conv2d"; }
};

// (batch, in_channels, h, w) to (batch, places, features), row after row: a convolution whose kernel and stride are the
// patch, which must divide h and w: Dosovitskiy et al. 2021, section 3.1.
struct PatchEmbedding : Convolution {
  PatchEmbedding(int64_t in_channels, int64_t features, Pair patch);
  Tensor operator()(const Tensor& x) const;
  const char* type() const override { return "PatchEmbedding"; }
};

// The other way round: out_h = (h - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1.
struct ConvTranspose2d : Convolution {
  ConvTranspose2d(int64_t in_channels, int64_t out_channels, Pair kernel_size,
                  const ConvTranspose2dOptions& options = {});
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(conv_transpose2d(x, weight, bias, options, output_padding_));
  }
  const char* type() const override { return "ConvTranspose2d"; }
};

}  // namespace gradus::nn
