#include "optim/sgd.h"

namespace gradus::optim {

void SGDOptions::check() const {
  gradus::check(lr >= 0 && momentum >= 0 && weight_decay >= 0, "SGD: lr ", lr, ", momentum ", momentum,
                " and weight_decay ", weight_decay, " must not be negative");
  gradus::check(!nesterov || (momentum > 0 && dampening == 0), "SGD: nesterov needs momentum and no dampening");
}

Sweep::Body SGD::update(int64_t group, const Update& u) {
  const SGDOptions& o = options(group);
  SgdStep step = {.lr = o.lr,
                  .momentum = o.momentum,
                  .dampening = o.dampening,
                  .weight_decay = o.weight_decay,
                  .nesterov = o.nesterov,
                  .first = !u.slot.state[0].defined()};
  Numbers momentum = o.momentum != 0 ? u.state(0) : Numbers();
  return [step, kernel = u.kernels.sgd_step, p = u.parameter, g = u.gradient, momentum](
             int64_t i, int64_t n, int64_t) { kernel(step, n, p + i, g + i, momentum + i); };
}

}  // namespace gradus::optim
