// Activations as modules, for Sequential. The functions are in autograd/ops.h.
#pragma once

#include "nn/module.h"
#include "nn/repr.h"

namespace gradus::nn {

struct ReLU : Stateless {
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(relu(x));
  }
  Tensor operator()(Tensor&& x) const {
    Call call(*this);
    return call(relu(std::move(x)));
  }
  const char* type() const override { return "ReLU"; }
};

struct SiLU : Stateless {
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(silu(x));
  }
  const char* type() const override { return "SiLU"; }
};

struct Tanh : Stateless {
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(tanh(x));
  }
  const char* type() const override { return "Tanh"; }
};

struct Sigmoid : Stateless {
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(sigmoid(x));
  }
  const char* type() const override { return "Sigmoid"; }
};

struct LeakyReLU : Stateless {
  double negative_slope;
  explicit LeakyReLU(double slope = 0.01) : negative_slope(slope) {}
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(leaky_relu(x, negative_slope));
  }
  const char* type() const override { return "LeakyReLU"; }
  std::string describe() const override { return "negative_slope=" + repr(negative_slope); }
};

struct GELU : Stateless {
  std::string approximate;
  // "none" for x Phi(x), "tanh" for the approximation; throws Error otherwise.
  explicit GELU(const std::string& approximation = "none") : approximate(approximation) {
    check(approximate == "none" || approximate == "tanh", "GELU: approximate is 'none' or 'tanh', not '", approximate,
          "'");
  }
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(gelu(x, approximate));
  }
  const char* type() const override { return "GELU"; }
  std::string describe() const override { return "approximate='" + approximate + "'"; }
};

// Both over one dimension.
struct Softmax : Stateless {
  int64_t dim;
  explicit Softmax(int64_t d = -1) : dim(d) {}
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(softmax(x, dim));
  }
  const char* type() const override { return "Softmax"; }
  std::string describe() const override { return "dim=" + std::to_string(dim); }
};

struct LogSoftmax : Stateless {
  int64_t dim;
  explicit LogSoftmax(int64_t d = -1) : dim(d) {}
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(log_softmax(x, dim));
  }
  const char* type() const override { return "LogSoftmax"; }
  std::string describe() const override { return "dim=" + std::to_string(dim); }
};

struct SoftplusOptions {
  double beta = 1, threshold = 20;  // linear where beta x > threshold
};
struct Softplus : Stateless {
  SoftplusOptions options;
  explicit Softplus(const SoftplusOptions& o = {}) : options(o) {}
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(softplus(x, options.beta, options.threshold));
  }
  const char* type() const override { return "Softplus"; }
  std::string describe() const override {
    return "beta=" + repr(options.beta) + ", threshold=" + repr(options.threshold);
  }
};

}  // namespace gradus::nn
