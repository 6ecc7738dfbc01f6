// What people get wrong with gradients, and what the library does about it.
#include <cstdio>

#include "autograd/ops.h"
#include "tutorials/refused.h"

using namespace gradus;
using tutorials::refused;

namespace {

Tensor number(double value) { return tensor(value, {.dtype = float64, .requires_grad = true}); }

void gradients_add_up() {
  const Tensor w = number(3);
  square(w).backward();
  const double once = w.grad().item();
  square(w).backward();
  const double twice = w.grad().item();
  w.zero_grad();
  square(w).backward();
  const double afresh = w.grad().item();
  std::printf("two steps without zero_grad\n  w.grad() is %.0f, then %.0f; after zero_grad %.0f\n", once, twice,
              afresh);
  check(once == 6 && twice == 12 && afresh == 6, "gradients do not add up as they should");
}

void backward_twice() {
  const Tensor w = number(3), loss = square(w);
  loss.backward();
  loss.backward();
}

void weight_changed_in_between() {
  Tensor w = number(3);
  const Tensor loss = square(w);
  {
    const NoGrad guard;
    w.add_(-0.1);  // an update, but too early: the rule of square needs the old w
  }
  loss.backward();
}

void in_place_change() {
  Tensor w = number(3);
  w.add_(-0.1);
}

void everything_detached() {
  const Tensor w = number(3);
  square(w.detach()).backward();
}

void half_detached() {
  const Tensor w = number(3);
  (w * w.detach()).backward();
  std::printf("one of two factors detached\n  d(w * w)/dw is %.0f, not %.0f, and nobody complains\n", w.grad().item(),
              2 * w.item());
  check(w.grad().item() == 3, "a detached factor has no gradient");
}

void many_outputs() { square(randn({3}).requires_grad_()).backward(); }

void differences_in_float32() {
  const Tensor x = randn({3}).requires_grad_();
  gradcheck([](const std::vector<Tensor>& in) { return square(in[0]); }, {x});
}

}  // namespace

int main() {
  gradients_add_up();
  refused("backward twice through one graph", backward_twice);
  refused("a weight changed between forward and backward", weight_changed_in_between);
  refused("a weight changed in place without NoGrad", in_place_change);
  refused("a loss that no weight leads to", everything_detached);
  half_detached();
  refused("backward from three numbers", many_outputs);
  refused("gradcheck in float32", differences_in_float32);
}
