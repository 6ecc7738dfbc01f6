// A wall in the loss of a recurrent network with one weight, and what clipping the gradient does there.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <vector>

#include "autograd/ops.h"
#include "optim/optim.h"

using namespace gradus;

namespace {

constexpr int length = 50;
constexpr double target = 2, rate = 1e-4, max_norm = 100;

//! [descend]
struct Place {
  double w, loss, gradient;
};

// h[t] = w h[t-1] with h[0] = 1, and the loss (h[T] - 2)^2 / 2.
std::vector<Place> descend(double start, bool clipped, int updates) {
  const Tensor w = tensor(start, {.dtype = float64, .requires_grad = true});
  optim::SGD optimiser({w}, {.lr = rate});
  std::vector<Place> path;
  for (int i = 0; i <= updates; ++i) {
    Tensor h = ones({}, {.dtype = float64});
    for (int t = 0; t < length; ++t) h = w * h;
    const Tensor loss = 0.5 * square(h - target);
    optimiser.zero_grad();
    loss.backward();
    path.push_back({w.item(), loss.item(), w.grad().item()});
    if (clipped) optim::clip_grad_norm_({w}, max_norm);
    optimiser.step();
  }
  return path;
}
//! [descend]

void print(const char* title, const std::vector<Place>& path, const std::vector<size_t>& which) {
  std::printf("%s\nupdate          w       loss   gradient\n", title);
  for (const size_t i : which)
    std::printf("%6zu  %9.3g  %9.2g  %9.2g\n", i, path[i].w, path[i].loss, path[i].gradient);
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Descends along the one weight of a recurrent network, with clipped gradients and without.");
  bool csv = false;
  app.add_flag("--csv", csv, "Print the loss along w, and the clipped descent");
  CLI11_PARSE(app, argc, argv);
  const std::vector<Place> clipped = descend(1.1, true, 20);
  if (csv) {
    std::printf("kind,w,loss\n");
    for (int i = 0; i <= 165; ++i) {
      const double w = 0.8 + 0.002 * i, last = std::pow(w, length) - target;
      std::printf("curve,%.4f,%.4e\n", w, 0.5 * last * last);
    }
    for (const Place& place : clipped) std::printf("step,%.6f,%.4e\n", place.w, place.loss);
    return 0;
  }
  const std::vector<Place> plain = descend(1.1, false, 3), low = descend(0.8, true, 1000);
  print("from 1.1, as the gradient says", plain, {0, 1, 2, 3});
  print("from 1.1, clipped to a norm of 100", clipped, {0, 1, 2, 5, 10, 20});
  print("from 0.8, clipped or not", low, {0, 1000});
  check(!std::isfinite(plain.back().loss), "the plain descent should fly off");
  check(clipped.back().loss < 1e-6, "the clipped descent should arrive");
  check(low.back().loss > 1.9, "clipping should not help where gradients vanish");
}
