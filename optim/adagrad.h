// Adagrad: Duchi, Hazan and Singer 2011, with a diagonal matrix.
#pragma once

#include "optim/optimizer.h"

namespace gradus::optim {

struct AdagradOptions {
  double lr = 1e-2;
  double lr_decay = 0;                   // divides lr by 1 + (t - 1) lr_decay at step t
  double weight_decay = 0;               // adds weight_decay * p to the gradient
  double initial_accumulator_value = 0;  // of s
  double eps = 1e-10;                    // added outside the root
  void check() const;
};

// s += g^2;  p -= lr g / (sqrt(s) + eps).
class Adagrad : public OptimizerOf<AdagradOptions> {
 public:
  explicit Adagrad(const std::vector<Tensor>& parameters, const AdagradOptions& options = {})
      : OptimizerOf(parameters, options) {}
  const char* type() const override { return "Adagrad"; }

 protected:
  Sweep::Body update(int64_t group, const Update& u) override;
  std::vector<const char*> state_names() const override { return {"sum"}; }
};

}  // namespace gradus::optim
