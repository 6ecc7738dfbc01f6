#include "optim/adagrad.h"

namespace gradus::optim {

void AdagradOptions::check() const {
  gradus::check(lr >= 0 && lr_decay >= 0 && eps >= 0 && weight_decay >= 0 && initial_accumulator_value >= 0,
                "Adagrad: lr ", lr, ", lr_decay ", lr_decay, ", eps ", eps, ", weight_decay ", weight_decay,
                " and initial_accumulator_value ", initial_accumulator_value, " must not be negative");
}

Sweep::Body Adagrad::update(int64_t group, const Update& u) {
  const AdagradOptions& o = options(group);
  AdagradStep step = {
      .lr = o.lr, .lr_decay = o.lr_decay, .eps = o.eps, .weight_decay = o.weight_decay, .step = u.slot.steps};
  return [step, kernel = u.kernels.adagrad_step, p = u.parameter, g = u.gradient,
          sum = u.state(0, o.initial_accumulator_value)](int64_t i, int64_t n, int64_t) {
    kernel(step, n, p + i, g + i, sum + i);
  };
}

}  // namespace gradus::optim
