// Stochastic gradient descent.
#pragma once

#include "optim/optimizer.h"

namespace gradus::optim {

struct SGDOptions {
  double lr = 1e-3;
  double momentum = 0;      // Polyak's heavy ball
  double dampening = 0;     // of what a gradient adds to the momentum, from the second on
  double weight_decay = 0;  // adds weight_decay * p to the gradient
  bool nesterov = false;    // Sutskever et al. 2013, section 2, in PyTorch's form: looks one momentum step ahead
  void check() const;
};

// b = momentum b + (1 - dampening) g; p -= lr b, with Nesterov's: p -= lr (g + momentum b). The first b is g.
class SGD : public OptimizerOf<SGDOptions> {
 public:
  explicit SGD(const std::vector<Tensor>& parameters, const SGDOptions& options = {})
      : OptimizerOf(parameters, options) {}
  const char* type() const override { return "SGD"; }

 protected:
  Sweep::Body update(int64_t group, const Update& u) override;
  std::vector<const char*> state_names() const override { return {"momentum_buffer"}; }
  double* momentum_of(int64_t group) override { return &options(group).momentum; }
};

}  // namespace gradus::optim
