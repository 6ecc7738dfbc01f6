// Dropout: Srivastava et al. 2014; of whole branches: Huang et al. 2016.
#pragma once

#include "nn/module.h"
#include "nn/repr.h"

namespace gradus::nn {

// Zeroes each element with probability p and divides the others by 1 - p, when training; else does nothing.
struct Dropout : Stateless {
  double p;
  explicit Dropout(double probability = 0.5) : p(probability) {
    check(p >= 0 && p <= 1, "Dropout: probability ", p, " must be between 0 and 1");
  }

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(dropout(x, p, training()));
  }
  const char* type() const override { return "Dropout"; }
  std::string describe() const override { return "p=" + repr(p); }
};

// Stochastic depth, at the end of a residual branch: zeroes whole samples of (batch, ...) with probability p and
// divides the others by 1 - p, when training; else does nothing. Huang et al. 2016, section 3, scale when evaluating.
struct DropPath : Stateless {
  double p;
  explicit DropPath(double probability) : p(probability) {
    check(p >= 0 && p <= 1, "DropPath: probability ", p, " must be between 0 and 1");
  }

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    if (!training() || p == 0) return call(x);
    Shape samples = x.shape();
    for (int64_t& n : samples) n = 1;
    samples[0] = x.size(0);
    return call(x * dropout(ones(samples, {.dtype = x.dtype(), .device = x.device()}), p));
  }
  const char* type() const override { return "DropPath"; }
  std::string describe() const override { return "p=" + repr(p); }
};

}  // namespace gradus::nn
