// Modules and optimisers in a few dozen lines on top of tensors and their gradients: what nn/ and optim/ are about.
#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/ops.h"

namespace ch04 {

using gradus::Tensor;

//! [module]
// A module shows each of its parameters, with its path, to whoever asks.
using Visitor = std::function<void(const std::string& path, Tensor& parameter)>;

struct Linear {
  Tensor weight, bias;  // (out, in), (out)

  Linear(int64_t in, int64_t out, gradus::Generator& generator) {
    const double deviation = std::sqrt(2 / double(in));
    weight = (gradus::randn({out, in}, {.dtype = gradus::float64}, &generator) * deviation).requires_grad_();
    bias = gradus::zeros({out}, {.dtype = gradus::float64, .requires_grad = true});
  }
  Tensor operator()(const Tensor& x) const { return matmul(x, weight.t()) + bias; }  // (n, in) to (n, out)
  void visit(const std::string& path, const Visitor& v) {
    v(path + "weight", weight);
    v(path + "bias", bias);
  }
};

struct Mlp {
  Linear first, second, last;

  Mlp(int64_t in, int64_t hidden, int64_t out, gradus::Generator& generator)
      : first(in, hidden, generator), second(hidden, hidden, generator), last(hidden, out, generator) {}
  Tensor operator()(const Tensor& x) const { return last(relu(second(relu(first(x))))); }
  void visit(const std::string& path, const Visitor& v) {
    first.visit(path + "first.", v);
    second.visit(path + "second.", v);
    last.visit(path + "last.", v);
  }
};
//! [module]

// All parameters of a module: handles, so that changing what they point at changes the module.
template <class Module>
std::vector<Tensor> parameters(Module& module) {
  std::vector<Tensor> found;
  module.visit("", [&](const std::string&, Tensor& parameter) { found.push_back(parameter); });
  return found;
}

// SGD with momentum; without, where mu is 0.
struct Momentum {
  std::vector<Tensor> parameters, velocity;
  double rate, mu;

  Momentum(const std::vector<Tensor>& of, double learning_rate, double decay)
      : parameters(of), rate(learning_rate), mu(decay) {
    for (const Tensor& p : parameters) velocity.push_back(zeros_like(p));
  }
  void step() {
    const gradus::NoGrad guard;
    for (size_t i = 0; i < parameters.size(); ++i) {
      velocity[i] = mu * velocity[i] + parameters[i].grad();
      parameters[i].sub_(velocity[i], rate);
      parameters[i].zero_grad();
    }
  }
};

//! [adam]
struct Adam {
  std::vector<Tensor> parameters, m, v;
  double rate, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  int t = 0;

  Adam(const std::vector<Tensor>& of, double learning_rate) : parameters(of), rate(learning_rate) {
    for (const Tensor& p : parameters) m.push_back(zeros_like(p)), v.push_back(zeros_like(p));
  }
  void step() {
    const gradus::NoGrad guard;
    ++t;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Tensor g = parameters[i].grad();
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * square(g);
      const Tensor mean = m[i] / (1 - std::pow(beta1, t)), spread = sqrt(v[i] / (1 - std::pow(beta2, t)));
      parameters[i].sub_(mean / (spread + eps), rate);
      parameters[i].zero_grad();
    }
  }
};
//! [adam]

}  // namespace ch04
