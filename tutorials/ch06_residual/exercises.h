// What the exercises of chapter 06 ask for.
#pragma once

#include "tensor/tensor.h"

namespace ch06 {

// What a branch is made of: two 3x3 convolutions without bias.
struct Branch {
  gradus::Tensor w1;          // (out, in, 3, 3), with the block's stride
  gradus::Tensor w2;          // (out, out, 3, 3)
  gradus::Tensor projection;  // (out, in, 1, 1), with the block's stride; undefined: the shortcut is the identity
};

// What makes weights of channels out of their means.
struct ChannelWeights {
  gradus::Tensor w1, b1;  // (squeezed, channels), (squeezed)
  gradus::Tensor w2, b2;  // (channels, squeezed), (channels)
};

struct BlockGradients {
  gradus::Tensor x, w1, w2;
};

struct Exercises {
  // 6.1 ★ relu(x + f(x)), or relu(projection(x) + f(x)). x: (batch, in, h, w).
  // Returns (batch, out, h / stride, w / stride), both rounded up.
  gradus::Tensor (*residual_block)(const gradus::Tensor& x, const Branch& branch, int64_t stride);

  // 6.2 ★ Squeeze-and-excitation. x: (batch, channels, h, w). Returns the same shape.
  gradus::Tensor (*squeeze_excite)(const gradus::Tensor& x, const ChannelWeights& layers);

  // 6.3 ★★ The gradients of y = x + relu(x w1^T) w2^T. g and x: (n, d), w1: (hidden, d), w2: (d, hidden).
  // Returns those of x, w1 and w2.
  BlockGradients (*residual_gradients)(const gradus::Tensor& g, const gradus::Tensor& x, const gradus::Tensor& w1,
                                       const gradus::Tensor& w2);

  // 6.4 ★★ Each place times its weight. x: (batch, channels, h, w), filter: (1, 2, k, k), k odd. Returns x's shape.
  gradus::Tensor (*spatial_attention)(const gradus::Tensor& x, const gradus::Tensor& filter);

  // 6.5 ★★★ The gradient of squeeze-and-excitation with respect to x. g and x: (batch, channels, h, w).
  // Returns the same shape.
  gradus::Tensor (*squeeze_excite_gradient)(const gradus::Tensor& g, const gradus::Tensor& x,
                                            const ChannelWeights& layers);
};

}  // namespace ch06
