// Attention in networks on images (batch, channels, h, w): over channels, over places, and of places to each other.
#pragma once

#include "nn/conv.h"
#include "nn/norm.h"

namespace gradus::nn {

// Two layers from numbers about the channels, (batch, channels, 1, 1), to as many: squeezed to fewer channels, relu,
// and back. They are 1x1 convolutions, as torchvision's. Throws Error unless both numbers of channels are positive.
struct ChannelLayers : Module {
  Conv2d fc1, fc2;
  ChannelLayers(int64_t channels, int64_t squeezed) : fc1(channels, squeezed, 1), fc2(squeezed, channels, 1) {}
  void visit(Visitor& v) override;

 protected:
  Tensor layers(const Tensor& pooled) const { return fc2(relu(fc1(pooled))); }
};

// Each channel times a number between 0 and 1 that the layers make of the means of all channels: Hu, Shen and Sun 2018,
// section 3.
struct SqueezeExcitation : ChannelLayers {
  using ChannelLayers::ChannelLayers;
  Tensor operator()(const Tensor& x) const;
  const char* type() const override { return "SqueezeExcitation"; }
};

// The weights of channels in CBAM, (batch, channels, 1, 1): sigmoid(f(mean) + f(maximum)), both over all places, with
// the same layers f. Woo, Park, Lee and Kweon 2018, section 3, equation 2.
struct ChannelAttention : ChannelLayers {
  using ChannelLayers::ChannelLayers;
  Tensor operator()(const Tensor& x) const;
  const char* type() const override { return "ChannelAttention"; }
};

// The weights of places in CBAM, (batch, 1, h, w): sigmoid of a convolution over mean and maximum of the channels;
// equation 3.
struct SpatialAttention : Module {
  Conv2d conv;
  explicit SpatialAttention(int64_t kernel = 7) : conv(2, 1, kernel, {.padding = kernel / 2, .bias = false}) {}
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) override { v("conv", conv); }
  const char* type() const override { return "SpatialAttention"; }
};

// x weighted by channel, and then by place.
struct CBAM : Module {
  ChannelAttention channel;
  SpatialAttention spatial;
  CBAM(int64_t channels, int64_t squeezed) : channel(channels, squeezed) {}
  // The weights of places are written to `map` if given.
  Tensor operator()(const Tensor& x, Tensor* map = nullptr) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "CBAM"; }
};

// x + W(y), where y at each place is a mean of g(x) over all places, weighted by softmax(theta(x) . phi(x)): the
// embedded Gaussian of Wang, Girshick, Gupta and He 2018, section 3.2. The scale of the normalisation behind W starts
// at 0 (section 4.1), and with it the block as the identity.
struct NonLocalBlock : Module {
  Conv2d theta, phi, g, W;
  BatchNorm2d bn;
  // theta, phi and g make `inner` channels; half as many, in the paper.
  NonLocalBlock(int64_t channels, int64_t inner);
  // The weights, (batch, 1, h w, h w), are written to `weights` if given.
  Tensor operator()(const Tensor& x, Tensor* weights = nullptr) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "NonLocalBlock"; }
};

}  // namespace gradus::nn
