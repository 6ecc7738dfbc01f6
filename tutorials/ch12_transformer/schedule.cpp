// The learning rate of Vaswani et al. 2017, section 5.3, by step, for its base model and two others.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <vector>

#include "optim/optim.h"

using namespace gradus;

int main(int argc, char** argv) {
  bool csv = false;
  CLI::App app("Prints the learning rate of each step under the schedule of Vaswani et al. 2017.");
  app.add_flag("--csv", csv, "print many steps, for the figure");
  CLI11_PARSE(app, argc, argv);

  // A schedule sets the rate of its optimiser at once, so each has one of its own.
  const auto any = [] { return std::vector{zeros({1}, {.requires_grad = true})}; };
  optim::Adam first(any(), {.lr = 1}), second(any(), {.lr = 1}), third(any(), {.lr = 1});
  const optim::NoamLR usual(first, {.d_model = 512, .warmup = 4000});
  const optim::NoamLR longer(second, {.d_model = 512, .warmup = 8000});
  const optim::NoamLR narrower(third, {.d_model = 256, .warmup = 4000});
  if (csv) {
    for (int64_t t = 1; t <= 24001; t += 100)
      std::printf("%d,%.3e,%.3e,%.3e\n", int(t), usual.lr(t - 1), longer.lr(t - 1), narrower.lr(t - 1));
    return 0;
  }
  std::printf("step     warm-up 4000  warm-up 8000  256 features\n");
  for (const int64_t t : {1, 100, 1000, 4000, 8000, 16000, 100000})
    std::printf("%6d %14.2e %13.2e %13.2e\n", int(t), usual.lr(t - 1), longer.lr(t - 1), narrower.lr(t - 1));
  check(usual.lr(3999) > usual.lr(3998) && usual.lr(3999) > usual.lr(4000),
        "the highest rate is at the end of warm-up");
}
