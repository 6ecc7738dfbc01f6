// Chapter 04: what the size of the first weights does to numbers that pass through many layers, and to gradients that
// come back.
#include <cmath>
#include <cstdio>
#include <vector>

#include "tutorials/ch03_softmax/points.h"
#include "tutorials/ch04_mlp/miniature.h"

using namespace gradus;

namespace {

constexpr int64_t width = 100, batch = 200;
constexpr int layers = 20;

struct Passed {
  std::vector<double> forward;  // the root mean square of what leaves each layer
  double backward;              // of the gradient at the input, that at the output being 1
};

double root_mean_square(const Tensor& x) { return std::sqrt(square(x).mean().item()); }

// Sends random inputs through layers of ReLUs whose weights have the given standard deviation.
Passed pass(double deviation, Generator& generator) {
  const Tensor input = randn({batch, width}, {.dtype = float64, .requires_grad = true}, &generator);
  Passed passed;
  Tensor x = input;
  for (int layer = 0; layer < layers; ++layer) {
    const Tensor weight = randn({width, width}, {.dtype = float64}, &generator) * deviation;
    x = relu(matmul(x, weight.t()));
    passed.forward.push_back(root_mean_square(x));
  }
  const Tensor g = randn({batch, width}, {.dtype = float64}, &generator);
  passed.backward = root_mean_square(grad({x}, {input}, {.grad_outputs = {g}})[0]);
  return passed;
}

// Trains for a while from weights that are all the same. Gives how many of the first layer's units differ from the
// first of them.
int64_t different_units() {
  Generator generator(2);
  const ch03::Points points = ch03::spirals(100, generator);
  ch04::Mlp model(2, 32, ch03::classes, generator);
  const std::vector<Tensor> parameters = ch04::parameters(model);
  for (Tensor p : parameters) {
    const NoGrad guard;
    p.fill_(0.1);
  }
  ch04::Adam optimiser(parameters, 0.01);
  for (int step = 0; step < 100; ++step) {
    cross_entropy(model(points.x), points.y).backward();
    optimiser.step();
  }
  const Tensor weight = model.first.weight.detach();
  return int64_t((weight != weight.narrow(0, 0, 1)).any({1}).to(float64).sum().item());
}

}  // namespace

int main() {
  const struct {
    const char* name;
    double deviation;
  } rows[] = {{"0.01", 0.01},
              {"1 / sqrt(100)", 1 / std::sqrt(double(width))},
              {"sqrt(2 / 100)", std::sqrt(2 / double(width))},
              {"0.2", 0.2},
              {"1", 1}};
  std::printf("deviation       layer 1   layer 5  layer 10  layer 20  gradient\n");
  for (const auto& row : rows) {
    Generator generator(1);
    const Passed p = pass(row.deviation, generator);
    std::printf("%-13s %9.2g %9.2g %9.2g %9.2g %9.2g\n", row.name, p.forward[0], p.forward[4], p.forward[9],
                p.forward[19], p.backward);
    const bool kept = p.forward[19] > 0.1 && p.forward[19] < 10 && p.backward > 0.1 && p.backward < 10;
    check(kept == (row.deviation == rows[2].deviation), "only the deviation sqrt(2 / width) should keep the size");
  }
  std::printf("\nall weights 0.1: %lld of 32 units differ from the first after 100 steps\n",
              (long long)different_units());
  check(different_units() == 0, "units that begin the same should stay the same");
}
