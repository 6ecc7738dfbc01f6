#include "optim/rmsprop.h"

namespace gradus::optim {

void RMSpropOptions::check() const {
  gradus::check(lr >= 0 && eps >= 0 && weight_decay >= 0 && momentum >= 0, "RMSprop: lr ", lr, ", eps ", eps,
                ", weight_decay ", weight_decay, " and momentum ", momentum, " must not be negative");
  gradus::check(alpha >= 0 && alpha < 1, "RMSprop: alpha ", alpha, " must lie in [0, 1)");
}

Sweep::Body RMSprop::update(int64_t group, const Update& u) {
  const RMSpropOptions& o = options(group);
  RmspropStep step = {.lr = o.lr,
                      .alpha = o.alpha,
                      .eps = o.eps,
                      .weight_decay = o.weight_decay,
                      .momentum = o.momentum,
                      .centered = o.centered};
  Numbers mean = o.centered ? u.state(1) : Numbers(), momentum = o.momentum != 0 ? u.state(2) : Numbers();
  return [step, kernel = u.kernels.rmsprop_step, p = u.parameter, g = u.gradient, v = u.state(0), mean, momentum](
             int64_t i, int64_t n, int64_t) { kernel(step, n, p + i, g + i, v + i, mean + i, momentum + i); };
}

}  // namespace gradus::optim
