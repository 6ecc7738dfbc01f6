// The fully connected layer.
#pragma once

#include "nn/lora.h"

namespace gradus::nn {

struct LinearOptions {
  bool bias = true;
};

//! [Linear]
// x weight^T + bias: (..., in_features) to (..., out_features).
struct Linear : Module {
  Tensor weight;  // (out_features, in_features)
  Tensor bias;    // (out_features), or undefined
  LowRank lora;

  // Both uniform within 1 / sqrt(in_features), as PyTorch. Throws Error unless both sizes are positive.
  Linear(int64_t in_features, int64_t out_features, const LinearOptions& options = {});

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(lora(linear(x, weight, bias), x));
  }
  void visit(Visitor& v) override {
    v("weight", weight);
    v("bias", bias);
    lora.visit(v);
  }
  const char* type() const override { return "Linear"; }
  std::string describe() const override;
};
//! [Linear]

}  // namespace gradus::nn
