#include "nn/norm.h"

#include <limits>

#include "nn/repr.h"

namespace gradus::nn {

namespace {

void check_eps(const char* type, double eps) { check(eps >= 0, type, ": eps ", eps, " must not be negative"); }

}  // namespace

BatchNorm::BatchNorm(const char* type, int64_t num_features, const BatchNormOptions& options)
    : eps(options.eps), momentum(options.momentum), num_features_(num_features) {
  check(num_features > 0, type, ": num_features ", num_features, " must be positive");
  check_eps(type, eps);
  check(momentum >= 0 && momentum <= 1, type, ": momentum ", momentum, " must be between 0 and 1");
  if (options.affine) {
    weight = ones({num_features}, {.requires_grad = true});
    bias = zeros({num_features}, {.requires_grad = true});
  }
  if (options.track_running_stats) {
    running_mean = zeros({num_features});
    running_var = ones({num_features});
    num_batches_tracked = zeros({}, {.dtype = int64});
  }
}

void BatchNorm::visit(Visitor& v) {
  v("weight", weight);
  v("bias", bias);
  v.buffer("running_mean", running_mean);
  v.buffer("running_var", running_var);
  v.buffer("num_batches_tracked", num_batches_tracked);
}

Tensor BatchNorm::normalize(const Tensor& x, int min_dim, int max_dim) const {
  check(x.dim() >= min_dim && x.dim() <= max_dim, type(), ": input ", x.shape(), " should have ", min_dim,
        min_dim == max_dim ? "" : " or 3", " dimensions: batch, channels and places");
  check(x.size(1) == num_features_, type(), ": input ", x.shape(), " has ", x.size(1), " channels, expected ",
        num_features_);
  if (training() && num_batches_tracked.defined()) {
    Tensor count = num_batches_tracked;
    count.add_(1);
  }
  return batch_norm(x, running_mean, running_var, weight, bias, training() || !running_mean.defined(), momentum, eps);
}

std::string BatchNorm::describe() const {
  return std::to_string(num_features_) + ", eps=" + repr(eps) + ", momentum=" + repr(momentum) +
         ", affine=" + repr(weight.defined()) + ", track_running_stats=" + repr(running_mean.defined());
}

LayerNorm::LayerNorm(const Shape& shape, const LayerNormOptions& options)
    : normalized_shape(shape), eps(options.eps) {
  check(!shape.empty() && numel(shape) > 0, "LayerNorm: normalized_shape ", shape, " must have positive sizes");
  check_eps("LayerNorm", eps);
  if (options.elementwise_affine) weight = ones(shape, {.requires_grad = true});
  if (options.elementwise_affine && options.bias) bias = zeros(shape, {.requires_grad = true});
}

std::string LayerNorm::describe() const {
  return repr(normalized_shape) + ", eps=" + repr(eps) + ", elementwise_affine=" + repr(weight.defined()) +
         ", bias=" + repr(bias.defined());
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels, const GroupNormOptions& options)
    : num_groups(groups), num_channels(channels), eps(options.eps) {
  check(groups > 0 && channels > 0 && channels % groups == 0, "GroupNorm: channels ", channels,
        " must be a multiple of groups ", groups);
  check_eps("GroupNorm", eps);
  if (options.affine) {
    weight = ones({channels}, {.requires_grad = true});
    bias = zeros({channels}, {.requires_grad = true});
  }
}

std::string GroupNorm::describe() const {
  return std::to_string(num_groups) + ", " + std::to_string(num_channels) + ", eps=" + repr(eps) +
         ", affine=" + repr(weight.defined());
}

RMSNorm::RMSNorm(int64_t normalized_size, const RMSNormOptions& options)
    : features(normalized_size), eps(options.eps) {
  check(features > 0, "RMSNorm: features ", features, " must be positive");
  check_eps("RMSNorm", eps.value_or(0));
  if (options.elementwise_affine) weight = ones({features}, {.requires_grad = true});
}

Tensor RMSNorm::operator()(const Tensor& x) const {
  Call call(*this);
  check(x.dim() > 0 && x.size(-1) == features, "RMSNorm: input ", x.shape(), " should end in ", features,
        " features");
  double machine_epsilon =
      x.dtype() == float64 ? std::numeric_limits<double>::epsilon() : std::numeric_limits<float>::epsilon();
  return call(rms_norm(x, weight, eps.value_or(machine_epsilon)));
}

std::string RMSNorm::describe() const {
  return repr(Shape{features}) + ", eps=" + (eps ? repr(*eps) : "None") +
         ", elementwise_affine=" + repr(weight.defined());
}

}  // namespace gradus::nn
