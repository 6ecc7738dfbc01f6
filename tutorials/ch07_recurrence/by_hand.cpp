// A recurrent network of one unit, three steps long: forward, and backward through time, in plain numbers; then the
// same by the library's tape.
#include <cmath>
#include <cstdio>
#include <vector>

#include "autograd/ops.h"

using namespace gradus;

namespace {

//! [unit]
// h[t] = tanh(w h[t-1] + u x[t]). h[0] = 0 is the state before the first step; x[0] is not used.
std::vector<double> forward(double w, double u, const std::vector<double>& x) {
  std::vector<double> h = {0};
  for (size_t t = 1; t < x.size(); ++t) h.push_back(std::tanh(w * h[t - 1] + u * x[t]));
  return h;
}

struct Step {
  double dh, da;  // the loss's gradient at h[t] and, before tanh, at a[t] = w h[t-1] + u x[t]
  double w, u;    // what this step adds to the gradients of the two weights
};

// `dh` is the loss's gradient at the last state. Gives the steps, the last one first.
std::vector<Step> backward(double w, const std::vector<double>& x, const std::vector<double>& h, double dh) {
  std::vector<Step> steps;
  for (size_t t = x.size() - 1; t >= 1; --t) {
    const double da = dh * (1 - h[t] * h[t]);
    steps.push_back({dh, da, da * h[t - 1], da * x[t]});
    dh = da * w;  // h[t-1] was used by step t, and by nothing else
  }
  return steps;
}
//! [unit]

// The gradients of w and u as the tape finds them.
std::pair<double, double> by_tape(double w0, double u0, const std::vector<double>& x, double target) {
  const TensorOptions leaf{.dtype = float64, .requires_grad = true};
  const Tensor w = tensor(w0, leaf), u = tensor(u0, leaf);
  Tensor h = zeros({}, {.dtype = float64});
  for (size_t t = 1; t < x.size(); ++t) h = tanh(w * h + u * x[t]);
  (0.5 * square(h - target)).backward();
  return {w.grad().item(), u.grad().item()};
}

}  // namespace

int main() {
  const double w = 0.5, u = 1, target = 1;
  const std::vector<double> x = {0, 1, -1, 0.5};
  const std::vector<double> h = forward(w, u, x);
  std::printf("forward\n  t     x        a        h\n");
  for (size_t t = 1; t < x.size(); ++t)
    std::printf("%3zu  %4.1f  %7.4f  %7.4f\n", t, x[t], w * h[t - 1] + u * x[t], h[t]);
  std::printf("loss %.4f\n\n", 0.5 * (h.back() - target) * (h.back() - target));

  std::printf("backward\n  t       dh       da   to dw    to du\n");
  double dw = 0, du = 0;
  size_t t = x.size();
  for (const Step& step : backward(w, x, h, h.back() - target)) {
    std::printf("%3zu  %7.4f  %7.4f  %7.4f  %7.4f\n", --t, step.dh, step.da, step.w + 0.0, step.u);
    dw += step.w, du += step.u;
  }
  std::printf("sum                    %7.4f  %7.4f\n", dw, du);
  const auto [tape_w, tape_u] = by_tape(w, u, x, target);
  std::printf("by the tape            %7.4f  %7.4f\n", tape_w, tape_u);
  check(std::fabs(dw - tape_w) < 1e-12 && std::fabs(du - tape_u) < 1e-12, "by hand and by the tape differ");
}
