// What you write in chapter 04: see exercises.cpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nn/module.h"
#include "tensor/random.h"

namespace ch04 {

struct LinearGradients {
  gradus::Tensor x, weight, bias;
};

struct AdamState {
  gradus::Tensor m, v;  // of the parameter's shape; zero before the first step
  int64_t steps = 0;    // taken so far
};

struct AdamOptions {
  double lr, beta1, beta2, eps, weight_decay;
};

struct Exercises {
  // 4.1 ★ Weights of `shape` (out, in, ...) after He et al. 2015, float64, drawn from `generator`.
  gradus::Tensor (*kaiming_normal)(const gradus::Shape& shape, gradus::Generator& generator);
  // 4.2 ★★ The gradients of y = x weight^T + bias; x (..., in), weight (out, in), dy (..., out).
  LinearGradients (*linear_gradients)(const gradus::Tensor& x, const gradus::Tensor& weight,
                                      const gradus::Tensor& dy);
  // 4.3 ★★ All parameters inside `module` with their paths.
  std::vector<std::pair<std::string, gradus::Tensor>> (*named_parameters)(gradus::nn::Module& module);
  // 4.4 ★★ One step of SGD with momentum. Changes `parameter` in place, and `velocity`.
  void (*momentum_step)(gradus::Tensor& parameter, const gradus::Tensor& g, gradus::Tensor& velocity, double lr,
                        double mu);
  // 4.5 ★★★ One step of AdamW. Changes `parameter` in place, and `state`.
  void (*adamw_step)(gradus::Tensor& parameter, const gradus::Tensor& g, AdamState& state,
                     const AdamOptions& options);
};

}  // namespace ch04
