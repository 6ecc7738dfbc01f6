// Adam: Kingma and Ba 2015, algorithm 1; AdamW: Loshchilov and Hutter 2019, algorithm 2.
#pragma once

#include "optim/optimizer.h"

namespace gradus::optim {

struct AdamOptions {
  double lr = 1e-3;
  std::pair<double, double> betas = {0.9, 0.999};  // of the means of g and of g^2
  double eps = 1e-8;                               // added outside the root
  double weight_decay = 0;                         // adds weight_decay * p to the gradient
  void check() const;
};

// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
// p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) at step t.
class Adam : public OptimizerOf<AdamOptions> {
 public:
  explicit Adam(const std::vector<Tensor>& parameters, const AdamOptions& options = {})
      : OptimizerOf(parameters, options) {}
  const char* type() const override { return "Adam"; }

 protected:
  Sweep::Body update(int64_t group, const Update& u) override;
  std::vector<const char*> state_names() const override { return {"exp_avg", "exp_avg_sq"}; }
  double* momentum_of(int64_t group) override { return &options(group).betas.first; }
};

struct AdamWOptions {
  double lr = 1e-3;
  std::pair<double, double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;  // p shrinks by lr * weight_decay * p, beside the step of Adam
  void check() const;
};

class AdamW : public OptimizerOf<AdamWOptions> {
 public:
  explicit AdamW(const std::vector<Tensor>& parameters, const AdamWOptions& options = {})
      : OptimizerOf(parameters, options) {}
  const char* type() const override { return "AdamW"; }

 protected:
  Sweep::Body update(int64_t group, const Update& u) override;
  std::vector<const char*> state_names() const override { return {"exp_avg", "exp_avg_sq"}; }
  double* momentum_of(int64_t group) override { return &options(group).betas.first; }
};

}  // namespace gradus::optim
