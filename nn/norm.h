// Normalisation layers. Scales start at 1 and shifts at 0; the formulas and papers are in autograd/ops.h.
#pragma once

#include "nn/module.h"

namespace gradus::nn {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;  // how far the running statistics move towards each batch's
  bool affine = true;     // with weight and bias
  bool track_running_stats = true;
};

// Normalises each channel: over the batch and all places when training, by the running statistics when evaluating (by
// the batch's always, where none are tracked). The running variance is unbiased, that of the batch biased.
class BatchNorm : public Module {
 public:
  Tensor weight, bias;                                    // (channels), or undefined
  Tensor running_mean, running_var, num_batches_tracked;  // (channels), (channels), () int64, or undefined
  double eps, momentum;

  void visit(Visitor& v) override;
  std::string describe() const override;

 protected:
  BatchNorm(const char* type, int64_t num_features, const BatchNormOptions& options);
  // Throws Error unless x is (batch, num_features, ...) with a number of dimensions in [min_dim, max_dim].
  Tensor normalize(const Tensor& x, int min_dim, int max_dim) const;

 private:
  int64_t num_features_;
};

// (batch, channels) or (batch, channels, length).
struct BatchNorm1d : BatchNorm {
  explicit BatchNorm1d(int64_t num_features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm1d", num_features, options) {}
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(normalize(x, 2, 3));
  }
  const char* type() const override { return "BatchNorm1d"; }
};

// (batch, channels, h, w).
struct BatchNorm2d : BatchNorm {
  explicit BatchNorm2d(int64_t num_features, const BatchNormOptions& options = {})
      : BatchNorm("BatchNorm2d", num_features, options) {}
  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(normalize(x, 4, 4));
  }
  const char* type() const override { return "BatchNorm2d"; }
};

struct LayerNormOptions {
  double eps = 1e-5;
  bool elementwise_affine = true, bias = true;
};
// Over the last dimensions, which must be `normalized_shape`.
struct LayerNorm : Module {
  Shape normalized_shape;
  Tensor weight, bias;  // normalized_shape, or undefined
  double eps;
  explicit LayerNorm(const Shape& shape, const LayerNormOptions& options = {});

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(layer_norm(x, normalized_shape, weight, bias, eps));
  }
  void visit(Visitor& v) override {
    v("weight", weight);
    v("bias", bias);
  }
  const char* type() const override { return "LayerNorm"; }
  std::string describe() const override;
};

struct GroupNormOptions {
  double eps = 1e-5;
  bool affine = true;
};
// (batch, channels, ...): each sample over the places and channels of a group.
struct GroupNorm : Module {
  int64_t num_groups, num_channels;
  Tensor weight, bias;  // (channels), or undefined
  double eps;
  GroupNorm(int64_t groups, int64_t channels, const GroupNormOptions& options = {});

  Tensor operator()(const Tensor& x) const {
    Call call(*this);
    return call(group_norm(x, num_groups, weight, bias, eps));
  }
  void visit(Visitor& v) override {
    v("weight", weight);
    v("bias", bias);
  }
  const char* type() const override { return "GroupNorm"; }
  std::string describe() const override;
};

struct RMSNormOptions {
  std::optional<double> eps = {};  // the machine epsilon of the input's dtype unless given, as PyTorch
  bool elementwise_affine = true;
};
// Over the last dimension, of `features` elements.
struct RMSNorm : Module {
  int64_t features;
  Tensor weight;  // (features), or undefined
  std::optional<double> eps;
  explicit RMSNorm(int64_t normalized_size, const RMSNormOptions& options = {});

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v) override { v("weight", weight); }
  const char* type() const override { return "RMSNorm"; }
  std::string describe() const override;
};

}  // namespace gradus::nn
