// RMSprop: Tieleman and Hinton 2012, lecture 6e; centred: Graves 2013, section 4.2 (with eps outside the root).
#pragma once

#include "optim/optimizer.h"

namespace gradus::optim {

struct RMSpropOptions {
  double lr = 1e-2;
  double alpha = 0.99;      // of the running mean of g^2
  double eps = 1e-8;        // added outside the root
  double weight_decay = 0;  // adds weight_decay * p to the gradient
  double momentum = 0;
  bool centered = false;  // divide by the standard deviation: the mean of g is taken off
  void check() const;
};

// v = alpha v + (1 - alpha) g^2;  b = momentum b + g / (sqrt(v) + eps);  p -= lr b.
class RMSprop : public OptimizerOf<RMSpropOptions> {
 public:
  explicit RMSprop(const std::vector<Tensor>& parameters, const RMSpropOptions& options = {})
      : OptimizerOf(parameters, options) {}
  const char* type() const override { return "RMSprop"; }

 protected:
  Sweep::Body update(int64_t group, const Update& u) override;
  std::vector<const char*> state_names() const override { return {"square_avg", "grad_avg", "momentum_buffer"}; }
  double* momentum_of(int64_t group) override { return &options(group).momentum; }
};

}  // namespace gradus::optim
