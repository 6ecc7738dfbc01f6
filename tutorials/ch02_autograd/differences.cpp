// Derivatives by differences: how good they are for which step, and how gradcheck uses them to judge a rule.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"

using namespace gradus;

namespace {

// The largest error of the derivative of x^3 by differences, of a few places. NaN where a step is lost in rounding.
struct Errors {
  double one_sided = 0, central = 0;
};

template <class Real>
Errors errors(double step) {
  const auto cube = [](Real x) { return x * x * x; };
  Errors worst;
  for (const double place : {0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}) {
    const Real x = Real(place), above = x + Real(step), below = x - Real(step);
    const double exact = 3 * double(x) * double(x);
    const double one_sided = double(cube(above) - cube(x)) / double(above - x);
    const double central = double(cube(above) - cube(below)) / double(above - below);
    if (above == x || below == x) return {NAN, NAN};
    worst.one_sided = std::max(worst.one_sided, std::fabs(one_sided - exact));
    worst.central = std::max(worst.central, std::fabs(central - exact));
  }
  return worst;
}

void steps() {
  std::printf("                  float64             float32\n");
  std::printf("  step  one-sided  central  one-sided  central\n");
  double best = 1, best_narrow = 1;
  for (const double step : {1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12}) {
    const Errors wide = errors<double>(step), narrow = errors<float>(step);
    std::printf("%6.0e  %9.0e  %7.0e", step, wide.one_sided, wide.central);
    if (std::isnan(narrow.central))
      std::printf("  %9s  %7s\n", "lost", "lost");
    else
      std::printf("  %9.0e  %7.0e\n", narrow.one_sided, narrow.central);
    best = std::fmin(best, wide.central);
    best_narrow = std::fmin(best_narrow, narrow.central);
  }
  check(best < 1e-9 && best_narrow > 1e5 * best, "differences are better or worse than the text says");
}

//! [cube]
// x^3 as an op of our own. `factor` ought to be 3.
Tensor cube(const Tensor& x, double factor) {
  const Tensor numbers = x.detach() * x.detach() * x.detach();
  return record("cube", {x}, numbers, Keep::inputs,
                [factor](const Tensor& g, const Kept& kept) { return grads(g * factor * square(kept.input())); });
}

void judge(double factor) {
  Generator random(1);
  const Tensor x = randn({2, 3}, {.dtype = float64}, &random).requires_grad_();
  try {
    gradcheck([factor](const std::vector<Tensor>& in) { return cube(in[0], factor); }, {x});
    std::printf("factor %.0f: the rule agrees with differences\n", factor);
  } catch (const Error& error) {
    std::printf("factor %.0f: %s\n", factor, error.what());
  }
}
//! [cube]

}  // namespace

int main() {
  steps();
  std::printf("\n");
  judge(3);
  judge(2);
}
