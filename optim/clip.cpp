#include "optim/clip.h"

#include <cmath>
#include <numeric>

#include "autograd/ops.h"
#include "optim/sweep.h"
#include "tensor/kernels/table.h"

namespace gradus::optim {

namespace {

std::vector<Tensor> with_gradient(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> found;
  for (const Tensor& p : parameters)
    if (p.grad().defined()) found.push_back(p);
  return found;
}

// Elements [begin, begin + n) of a contiguous tensor.
View part(const Tensor& x, int64_t begin, int64_t n) {
  return {static_cast<char*>(x.raw().data) + begin * int64_t(size_of(x.dtype())), 1, {n}, {1}};
}

// The sum of all squares: each chunk of the gradients has a sum of its own, and these are added in order.
double sum_of_squares(const std::vector<Tensor>& parameters) {
  Sweep sweep;
  std::vector<double> sums;
  std::vector<Tensor> on_device;
  for (const Tensor& parameter : parameters) {
    Tensor g = parameter.grad().detach().contiguous();
    if (g.device() != Device::cpu) {
      if (g.dtype() == bfloat16) g = g.to(float32);
      on_device.push_back(empty({}, g.options()));
      kernels(g).reduce(Reduce::sum_squares, part(g, 0, g.numel()),
                        {on_device.back().raw().data, 1, {g.numel()}, {0}});
      continue;
    }
    sweep.add(g.numel(), [g, &sums](int64_t i, int64_t n, int64_t chunk) {
      bool wide = g.dtype() == float64;
      float sum = 0;
      double wide_sum = 0;
      void* result = wide ? static_cast<void*>(&wide_sum) : &sum;
      kernels(g).reduce(Reduce::sum_squares, part(g, i, n), {result, 1, {n}, {0}});
      sums[size_t(chunk)] += wide ? wide_sum : sum;
    });
  }
  sums.resize(size_t(sweep.chunks()));
  sweep.run();
  if (!on_device.empty()) sums.push_back(stack(on_device).to(float64).sum().item());
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// The norm of the gradients' norms, gathered in double.
double norm_of_all(const std::vector<Tensor>& parameters, double p) {
  if (p == 2) return std::sqrt(sum_of_squares(parameters));
  double total = 0;
  for (const Tensor& parameter : parameters) {
    double norm = parameter.grad().detach().norm(p).item();
    if (std::isinf(p))
      total = norm > total || std::isnan(norm) ? norm : total;
    else
      total += std::pow(norm, p);
  }
  return std::isinf(p) ? total : std::pow(total, 1 / p);
}

}  // namespace

double clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, const ClipOptions& options) {
  check(max_norm > 0, "clip_grad_norm_: max_norm ", max_norm, " must be positive");
  check(options.norm_type > 0, "clip_grad_norm_: norm_type ", options.norm_type, " must be positive");
  NoGrad guard;
  std::vector<Tensor> clipped = with_gradient(parameters), gradients;
  double total = norm_of_all(clipped, options.norm_type);
  check(!options.error_if_nonfinite || std::isfinite(total), "clip_grad_norm_: the norm of the gradients is ", total);
  double scale = max_norm / (total + 1e-6);
  if (scale >= 1) return total;
  for (const Tensor& parameter : clipped) gradients.push_back(parameter.grad().detach());
  Sweep sweep;
  for (size_t k = 0; k < clipped.size(); ++k) {
    // In place, unless others see the gradient than its parameter and this function; a parameter given twice does.
    bool alone = gradients[k].storage().use_count() == 2 && gradients[k].is_contiguous();
    if (alone) begin_inplace("clip_grad_norm_", gradients[k]);
    Tensor gradient = gradients[k].contiguous(), scaled = alone ? gradient : empty_like(gradient);
    sweep.add(
        gradient.numel(),
        [gradient, scaled, scale](int64_t i, int64_t n, int64_t) {
          kernels(gradient).unary(Unary::affine, part(gradient, i, n), part(scaled, i, n), scale, 0);
        },
        gradient.device());
    if (!alone) clipped[k].set_grad(scaled);
  }
  sweep.run();
  return total;
}

void clip_grad_value_(const std::vector<Tensor>& parameters, double limit) {
  check(limit > 0, "clip_grad_value_: limit ", limit, " must be positive");
  NoGrad guard;
  for (const Tensor& parameter : with_gradient(parameters))
    parameter.set_grad(clamp(parameter.grad().detach(), -limit, limit));
}

}  // namespace gradus::optim
