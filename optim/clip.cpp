#include "optim/clip.h"

#include <cmath>

#include "autograd/ops.h"

namespace gradus::optim {

namespace {

std::vector<Tensor> with_gradient(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> found;
  for (const Tensor& p : parameters)
    if (p.grad().defined()) found.push_back(p);
  return found;
}

}  // namespace

double clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, const ClipOptions& options) {
  check(max_norm > 0, "clip_grad_norm_: max_norm ", max_norm, " must be positive");
  check(options.norm_type > 0, "clip_grad_norm_: norm_type ", options.norm_type, " must be positive");
  NoGrad guard;
  std::vector<Tensor> clipped = with_gradient(parameters);
  // The norm of the gradients' norms, gathered in double.
  double p = options.norm_type, total = 0;
  for (const Tensor& parameter : clipped) {
    double norm = parameter.grad().detach().norm(p).item();
    if (std::isinf(p))
      total = norm > total || std::isnan(norm) ? norm : total;
    else
      total += std::pow(norm, p);
  }
  if (!std::isinf(p)) total = std::pow(total, 1 / p);
  check(!options.error_if_nonfinite || std::isfinite(total), "clip_grad_norm_: the norm of the gradients is ", total);
  double scale = max_norm / (total + 1e-6);
  if (scale >= 1) return total;
  // New tensors rather than in place: a gradient may be seen by others.
  for (const Tensor& parameter : clipped) parameter.set_grad(parameter.grad().detach() * scale);
  return total;
}

void clip_grad_value_(const std::vector<Tensor>& parameters, double limit) {
  check(limit > 0, "clip_grad_value_: limit ", limit, " must be positive");
  NoGrad guard;
  for (const Tensor& parameter : with_gradient(parameters))
    parameter.set_grad(clamp(parameter.grad().detach(), -limit, limit));
}

}  // namespace gradus::optim
