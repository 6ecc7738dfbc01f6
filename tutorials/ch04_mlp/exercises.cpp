// Chapter 04's exercises. `./run grade ch04` judges them; add `--hint 1`, 2 or 3 where you are stuck.
#include "exercises.h"

#include <cmath>
#include <set>

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch04::AdamOptions;
using ch04::AdamState;
using ch04::LinearGradients;

namespace {

// Tensors here need no gradient, so that in-place changes (sub_, mul_, copy_) need no guard.

// 4.1 ★ Normal numbers of mean 0 and variance 2 / fan_in, where fan_in is how many inputs each output adds up: `in` for
// a shape (out, in), in * height * width for (out, in, height, width). randn(shape, {.dtype = float64}, &generator)
// has variance 1; numel(shape) is the product of all sizes.
Tensor kaiming_normal(const Shape& shape, Generator& generator) {
  // BEGIN SOLUTION 4.1
  const double fan_in = double(numel(shape) / shape[0]);
  return randn(shape, {.dtype = float64}, &generator) * std::sqrt(2 / fan_in);
  // END SOLUTION
  // MISTAKE fan_out is taken for fan_in
  // - const double fan_in = double(numel(shape) / shape[0]);
  // + const double fan_in = double(numel(shape) / shape[1]);
  // MISTAKE the variance is taken for the standard deviation
  // - return randn(shape, {.dtype = float64}, &generator) * std::sqrt(2 / fan_in);
  // + return randn(shape, {.dtype = float64}, &generator) * (2 / fan_in);
}

// 4.2 ★★ y = x weight^T + bias, with x (..., in), weight (out, in), bias (out) and y (..., out); dy (..., out) is the
// gradient of some loss with respect to y. Gives those with respect to x (..., in), weight (out, in) and bias (out).
// x may have one dimension before the last or several: x.reshape({-1, x.size(-1)}) makes them one.
LinearGradients linear_gradients(const Tensor& x, const Tensor& weight, const Tensor& dy) {
  // BEGIN SOLUTION 4.2
  const Tensor rows = x.reshape({-1, x.size(-1)});
  const Tensor drows = dy.reshape({-1, dy.size(-1)});
  LinearGradients d;
  d.x = matmul(dy, weight);
  d.weight = matmul(drows.t(), rows);
  d.bias = drows.sum({0});
  return d;
  // END SOLUTION
  // MISTAKE the gradient of the bias is not summed over the batch
  // - d.bias = drows.sum({0});
  // + d.bias = drows;
  // MISTAKE the gradient of the weight is transposed
  // - d.weight = matmul(drows.t(), rows);
  // + d.weight = matmul(rows.t(), drows);
}

// 4.3 ★★ A module shows a nn::Visitor its parameters, buffers and children (nn/module.h). Write a visitor that gathers
// the parameters, each with its path: the names of the modules it is in and its own, with dots between them
// ("layers.0.weight"). One that is undefined (a bias left out) is not listed, and one whose storage() another one has
// (a tied weight) only where it is met first. A struct may be defined within a function.
std::vector<std::pair<std::string, Tensor>> named_parameters(nn::Module& module) {
  // BEGIN SOLUTION 4.3
  struct Gather : nn::Visitor {
    std::vector<std::pair<std::string, Tensor>> found;
    std::set<const Storage*> seen;
    std::string path;

    void parameter(const std::string& name, Tensor& tensor) override {
      if (!tensor.defined()) return;
      if (!seen.insert(tensor.storage().get()).second) return;
      found.emplace_back(path + name, tensor);
    }
    void buffer(const std::string&, Tensor&) override {}
    void child(const std::string& name, nn::Module& inside) override {
      const std::string before = path;
      path = path + name + ".";
      inside.visit(*this);
      path = before;
    }
  };
  Gather gather;
  module.visit(gather);
  return gather.found;
  // END SOLUTION
  // MISTAKE a tied parameter is listed twice
  // - if (!seen.insert(tensor.storage().get()).second) return;
  // MISTAKE paths lack the names of the modules around
  // - path = path + name + ".";
  // + path = name + ".";
}

// 4.4 ★★ velocity = mu velocity + g; parameter -= lr velocity. All are of one shape; velocity is zero before the first
// step. Other handles on the parameter, such as the module's, have to see the change.
void momentum_step(Tensor& parameter, const Tensor& g, Tensor& velocity, double lr, double mu) {
  // BEGIN SOLUTION 4.4
  velocity = mu * velocity + g;
  parameter.sub_(velocity, lr);
  // END SOLUTION
  // MISTAKE the parameter is replaced, not changed in place
  // - parameter.sub_(velocity, lr);
  // + parameter = parameter - lr * velocity;
  // MISTAKE the gradient is scaled by 1 - mu
  // - velocity = mu * velocity + g;
  // + velocity = mu * velocity + (1 - mu) * g;
}

// 4.5 ★★★ Adam (Kingma and Ba 2015, algorithm 1) with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2):
// state.m and state.v become the running means of g and of g^2, which are then corrected for having begun at zero; eps
// is added outside the root. The parameter loses lr * weight_decay of itself, which the means do not see.
void adamw_step(Tensor& parameter, const Tensor& g, AdamState& state, const AdamOptions& options) {
  // BEGIN SOLUTION 4.5
  const auto& [lr, beta1, beta2, eps, weight_decay] = options;
  ++state.steps;
  const Tensor seen = g;
  state.m = beta1 * state.m + (1 - beta1) * seen;
  state.v = beta2 * state.v + (1 - beta2) * square(seen);
  const Tensor mean = state.m / (1 - std::pow(beta1, double(state.steps)));
  const Tensor spread = sqrt(state.v / (1 - std::pow(beta2, double(state.steps))));
  parameter.mul_(1 - lr * weight_decay);
  parameter.sub_(mean / (spread + eps), lr);
  // END SOLUTION
  // MISTAKE the means are not corrected for having begun at zero
  // - const Tensor mean = state.m / (1 - std::pow(beta1, double(state.steps)));
  // - const Tensor spread = sqrt(state.v / (1 - std::pow(beta2, double(state.steps))));
  // + const Tensor mean = state.m;
  // + const Tensor spread = sqrt(state.v);
  // MISTAKE the decay goes through the gradient
  // - const Tensor seen = g;
  // + const Tensor seen = g + weight_decay * parameter;
  // - parameter.mul_(1 - lr * weight_decay);
}

}  // namespace

EXERCISES(ch04::Exercises, kaiming_normal, linear_gradients, named_parameters, momentum_step, adamw_step);
