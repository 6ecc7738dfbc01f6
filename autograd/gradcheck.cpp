// Gradients against central differences.
#include <cmath>

#include "autograd/autograd.h"
#include "autograd/ops.h"

namespace gradus {
namespace {

// Fixed weights, all different and of both signs, that turn an output into one number; a rule that mixes elements up
// cannot pass by chance.
Tensor weights_for(const Tensor& y) {
  std::vector<double> w(size_t(y.numel()));
  for (size_t i = 0; i < w.size(); ++i) {
    double fraction = std::fmod(double(i + 1) * 0.6180339887498949, 1.0);
    w[i] = (0.5 + fraction) * (i % 3 == 1 ? -1 : 1);
  }
  return from_vector(w, y.shape());
}

double weighted(const TensorFunction& fn, const std::vector<Tensor>& inputs, const Tensor& w) {
  NoGrad guard;
  return (fn(inputs) * w).sum().item();
}

// Calls f(pointer to element, row-major number of element) for each element of x, wherever it lies.
template <class F>
void for_each_element(const Tensor& x, F f) {
  Dims at = Dims::filled(x.dim(), 0);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double* p = x.data<double>();
    for (int d = 0; d < x.dim(); ++d) p += at[d] * x.strides()[d];
    f(p, i);
    for (int d = x.dim() - 1; d >= 0 && ++at[d] == x.shape()[d]; --d) at[d] = 0;
  }
}

}  // namespace

void gradcheck(const TensorFunction& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  std::vector<Tensor> leaves;
  for (const Tensor& x : inputs) {
    if (!x.requires_grad()) continue;
    check(x.dtype() == float64, "gradcheck: inputs must be float64, got ", x.dtype());
    for (int d = 0; d < x.dim(); ++d)
      check(x.strides()[d] != 0 || x.shape()[d] <= 1,
            "gradcheck: an expanded input shares elements; expand inside fn");
    leaves.push_back(x);
  }
  check(!leaves.empty(), "gradcheck: no input requires grad");
  Tensor y;
  {
    EnableGrad guard;
    y = fn(inputs);
  }
  check(y.dtype() == float64, "gradcheck: the output must be float64, got ", y.dtype());
  Tensor w = weights_for(y);
  std::vector<Tensor> analytic;
  if (y.requires_grad())
    analytic = grad({y}, leaves, {.grad_outputs = {w}, .allow_unused = true});
  else
    analytic.resize(leaves.size());
  for (size_t k = 0; k < leaves.size(); ++k) {
    std::vector<double> given =
        analytic[k].defined() ? analytic[k].to_vector<double>() : std::vector<double>(size_t(leaves[k].numel()), 0);
    for_each_element(leaves[k], [&](double* element, int64_t i) {
      double middle = *element;
      *element = middle + options.step;
      double above = weighted(fn, inputs, w), high = *element;
      *element = middle - options.step;
      double below = weighted(fn, inputs, w), low = *element;
      *element = middle;
      double numeric = (above - below) / (high - low);
      check(std::fabs(given[size_t(i)] - numeric) <= options.atol + options.rtol * std::fabs(numeric),
            "gradcheck: input ", k, " of shape ", leaves[k].shape(), ", element ", i, ": the gradient is ",
            given[size_t(i)], ", central differences give ", numeric);
    });
  }
}

void gradgradcheck(const TensorFunction& fn, const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  Tensor w;
  {
    NoGrad guard;
    w = weights_for(fn(inputs));
  }
  std::vector<Tensor> extended = inputs;
  extended.push_back(w.requires_grad_());
  auto first_gradient = [&fn](const std::vector<Tensor>& in, bool create_graph) {
    EnableGrad guard;
    std::vector<Tensor> own(in.begin(), in.end() - 1), leaves, flat;
    for (const Tensor& x : own)
      if (x.requires_grad()) leaves.push_back(x);
    GradOptions how{.grad_outputs = {in.back()}, .create_graph = create_graph, .allow_unused = true};
    for (const Tensor& g : grad({fn(own)}, leaves, how))
      if (g.defined()) flat.push_back(g.reshape({-1}));
    return flat.empty() ? zeros({0}, {.dtype = float64}) : cat(flat);
  };
  // A rule may have a fused form and one that can be differentiated: they must agree.
  Tensor fused = first_gradient(extended, false), composed = first_gradient(extended, true);
  check(allclose(fused, composed, options.rtol, options.atol),
        "gradgradcheck: the gradient is not the same when it is recorded: ", composed.detach(), " instead of ",
        fused);
  gradcheck([&](const std::vector<Tensor>& in) { return first_gradient(in, true); }, extended, options);
}

}  // namespace gradus
