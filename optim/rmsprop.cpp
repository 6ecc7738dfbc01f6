#include "optim/rmsprop.h"

namespace gradus::optim {

void RMSpropOptions::check() const {
  gradus::check(lr >= 0 && eps >= 0 && weight_decay >= 0 && momentum >= 0, "RMSprop: lr ", lr, ", eps ", eps,
                ", weight_decay ", weight_decay, " and momentum ", momentum, " must not be negative");
  gradus::check(alpha >= 0 && alpha < 1, "RMSprop: alpha ", alpha, " must lie in [0, 1)");
}

void RMSprop::update(int64_t group, const Update& u) {
  const RMSpropOptions& o = options(group);
  u.kernels.rmsprop_step({.lr = o.lr,
                          .alpha = o.alpha,
                          .eps = o.eps,
                          .weight_decay = o.weight_decay,
                          .momentum = o.momentum,
                          .centered = o.centered},
                         u.n, u.parameter, u.gradient, u.state(0), o.centered ? u.state(1) : nullptr,
                         o.momentum != 0 ? u.state(2) : nullptr);
}

}  // namespace gradus::optim
