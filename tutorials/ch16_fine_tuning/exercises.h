// What the exercises of chapter 16 ask for.
#pragma once

#include <string>

#include "nn/module.h"

namespace ch16 {

// Beside a matrix (out, in): (alpha / rank) B A is what it adds.
struct Adapter {
  gradus::Tensor A, B;  // (rank, in), (out, rank)
  double alpha = 1;
};

struct Factors {
  gradus::Tensor A, B;
};

struct Exercises {
  // 16.1 ★ Freezes each part of the model whose path matches the patterns (nn::path_matches), with all inside it. Gives
  // how many weights are still trained. Throws gradus::Error where no part matches.
  int64_t (*freeze)(gradus::nn::Module& model, const std::string& patterns);

  // 16.2 ★ What a linear layer gives with an adapter beside its weight (out, in): x (..., in) to (..., out). B A is not
  // to be multiplied out: that can cost more than all the rest.
  gradus::Tensor (*adapted)(const gradus::Tensor& x, const gradus::Tensor& weight, const gradus::Tensor& bias,
                            const Adapter& adapter);

  // 16.3 ★★ In `weight`, which requires gradients, `out` was merged, and `in` is to be instead. Either may be null:
  // nothing. The numbers change in place, for optimisers and tied layers hold the same tensor.
  void (*exchange)(gradus::Tensor& weight, const Adapter* out, const Adapter* in);

  // 16.4 ★★★ The gradients of A and B, without autograd: x (batch, places, in) went in, and gradient
  // (batch, places, out) is that of the output of 16.2.
  Factors (*gradients)(const gradus::Tensor& x, const gradus::Tensor& gradient, const Adapter& adapter);
};

}  // namespace ch16
