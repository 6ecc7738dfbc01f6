// What the exercises of chapter 05 ask for.
#pragma once

#include "tensor/tensor.h"

namespace ch05 {

struct FilterGradients {
  gradus::Tensor weight, bias;
};

struct NormGradients {
  gradus::Tensor x, weight, bias;
};

struct Exercises {
  // 5.1 ★ How many places a filter of `kernel` pixels has along a side of `size`. Throws Error where there is none.
  int64_t (*output_size)(int64_t size, int64_t kernel, int64_t stride, int64_t padding);

  // 5.2 ★★ Convolution's patches as columns. x: (batch, channels, h, w).
  // Returns (batch, channels * kernel * kernel, out_h * out_w).
  gradus::Tensor (*im2col)(const gradus::Tensor& x, int64_t kernel, int64_t stride, int64_t padding);

  // 5.3 ★★ The gradient of max pooling. x: (batch, channels, h, w), g: (batch, channels, out_h, out_w).
  // Returns the shape of x.
  gradus::Tensor (*max_pool_gradient)(const gradus::Tensor& g, const gradus::Tensor& x, int64_t kernel,
                                      int64_t stride);

  // 5.4 ★★ The gradients of conv2d's weight and bias. g: (batch, out, out_h, out_w), x: (batch, in, h, w).
  // Returns (out, in, kernel, kernel) and (out).
  FilterGradients (*filter_gradients)(const gradus::Tensor& g, const gradus::Tensor& x, int64_t kernel,
                                      int64_t stride, int64_t padding);

  // 5.5 ★★★ The gradients of batch normalisation in training. g, x: (batch, channels, h, w), weight: (channels).
  // Returns (batch, channels, h, w), (channels) and (channels).
  NormGradients (*batch_norm_gradients)(const gradus::Tensor& g, const gradus::Tensor& x,
                                        const gradus::Tensor& weight, double eps);
};

}  // namespace ch05
