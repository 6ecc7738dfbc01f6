#include "optim/adam.h"

namespace gradus::optim {

namespace {

template <class Options>
void check_options(const char* type, const Options& o) {
  check(o.lr >= 0 && o.eps >= 0 && o.weight_decay >= 0, type, ": lr ", o.lr, ", eps ", o.eps, " and weight_decay ",
        o.weight_decay, " must not be negative");
  for (double beta : {o.betas.first, o.betas.second})
    check(beta >= 0 && beta < 1, type, ": betas (", o.betas.first, ", ", o.betas.second, ") must lie in [0, 1)");
}

template <class Options>
AdamStep step_of(const Options& o, bool decoupled, int64_t step) {
  return {.lr = o.lr,
          .beta1 = o.betas.first,
          .beta2 = o.betas.second,
          .eps = o.eps,
          .weight_decay = o.weight_decay,
          .decoupled = decoupled,
          .step = step};
}

template <class Update>
Sweep::Body body(const AdamStep& o, const Update& u) {
  return [o, kernel = u.kernels.adam_step, p = u.parameter, g = u.gradient, m = u.state(0), v = u.state(1)](
             int64_t i, int64_t n, int64_t) { kernel(o, n, p + i, g + i, m + i, v + i); };
}

}  // namespace

void AdamOptions::check() const { check_options("Adam", *this); }
void AdamWOptions::check() const { check_options("AdamW", *this); }

Sweep::Body Adam::update(int64_t group, const Update& u) {
  return body(step_of(options(group), false, u.slot.steps), u);
}

Sweep::Body AdamW::update(int64_t group, const Update& u) {
  return body(step_of(options(group), true, u.slot.steps), u);
}

}  // namespace gradus::optim
