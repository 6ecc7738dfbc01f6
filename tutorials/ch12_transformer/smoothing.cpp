// Smoothed labels of four classes: what is asked for, and the loss of a model that says exactly that.
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"

using namespace gradus;

int main() {
  constexpr double smoothing = 0.1;
  const Tensor label = tensor({0, 0, 1, 0}, {.dtype = float64});  // (4): the third class is right
  const Tensor asked = (1 - smoothing) * label + smoothing / 4;   // (4)
  const auto loss = [&](const Tensor& says) { return -(asked * log(says)).sum().item(); };
  const auto print = [&](const char* what, const Tensor& says) {
    std::printf("%-12s", what);
    for (const double p : says.to_vector()) std::printf("  %.3f", p);
    std::printf("   loss %.3f\n", loss(says));
  };
  print("as asked", asked);
  print("too sure", tensor({0.001, 0.001, 0.997, 0.001}, {.dtype = float64}));
  print("not sure", tensor({0.1, 0.1, 0.7, 0.1}, {.dtype = float64}));
  const Tensor library =
      cross_entropy(log(asked).unsqueeze(0), tensor({2}, {.dtype = int64}), {.label_smoothing = smoothing});
  check(std::abs(library.item() - loss(asked)) < 1e-12, "the library smooths otherwise");
}
