// Dropout: Srivastava et al. 2014.
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

}  // namespace gradus::nn
