#include "optim/sgd.h"

namespace gradus::optim {

void SGDOptions::check() const {
  gradus::check(lr >= 0 && momentum >= 0 && weight_decay >= 0, "SGD: lr ", lr, ", momentum ", momentum,
                " and weight_decay ", weight_decay, " must not be negative");
  gradus::check(!nesterov || (momentum > 0 && dampening == 0), "SGD: nesterov needs momentum and no dampening");
}

void SGD::update(int64_t group, const Update& u) {
  const SGDOptions& o = options(group);
  bool first = !u.slot.state[0].defined();
  u.kernels.sgd_step({.lr = o.lr,
                      .momentum = o.momentum,
                      .dampening = o.dampening,
                      .weight_decay = o.weight_decay,
                      .nesterov = o.nesterov,
                      .first = first},
                     u.n, u.parameter, u.gradient, o.momentum != 0 ? u.state(0) : nullptr);
}

}  // namespace gradus::optim
