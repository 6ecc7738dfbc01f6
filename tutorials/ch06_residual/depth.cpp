// Plain and residual stacks before any training: how much gradient arrives at each block.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/loader.h"
#include "data/transforms.h"
#include "examples/made_up/digits.h"
#include "nn/init.h"

using namespace gradus;

namespace {

constexpr int64_t channels = 8, blocks = 24, pictures = 64;
constexpr int draws = 10;  // of all weights

struct Stack {
  const char* name;
  bool he, norm, shortcut;  // He's initialisation (else PyTorch's), batch normalisation, x + f(x)
};
const std::vector<Stack> stacks = {
    {"small", false, false, false},       {"He", true, false, false},      {"He, norm", true, true, false},
    {"residual, norm", true, true, true}, {"residual", true, false, true},
};

//! [block]
// Weights (out, in, 3, 3) that keep the variance of what a ReLU leaves; or PyTorch's, a sixth of that.
Tensor filters(int64_t out, int64_t in, bool he) {
  const Tensor weight = empty({out, in, 3, 3}, {.requires_grad = true});
  if (he)
    nn::kaiming_normal_(weight, {.nonlinearity = nn::Nonlinearity::relu});
  else
    nn::default_weight_and_bias_(weight, {});
  return weight;
}

// (batch, channels, h, w) to the same: relu(f(x)), or relu(x + f(x)), with new weights.
Tensor block(const Tensor& x, const Stack& how) {
  const auto convolve = [&](const Tensor& in) {
    const Tensor y = conv2d(in, filters(channels, channels, how.he), {}, {.padding = 1});
    return how.norm ? batch_norm(y, {}, {}, {}, {}, true) : y;
  };
  const Tensor f = convolve(relu(convolve(x)));
  return relu(how.shortcut ? x + f : f);
}
//! [block]

//! [measure]
// |d loss / d output| of each block, the first block first, for one stack with fresh weights.
std::vector<double> gradient_norms(const data::ImageBatch& batch, const Stack& how) {
  std::vector<Tensor> outputs;
  Tensor x = relu(conv2d(batch.images, filters(channels, 1, true), {}, {.stride = 2, .padding = 1}));
  for (int64_t i = 0; i < blocks; ++i) outputs.push_back(x = block(x, how));
  const Tensor head = nn::normal_(empty({10, channels}), 0, 1 / std::sqrt(double(channels)));
  const Tensor loss = cross_entropy(linear(x.mean({2, 3}), head), batch.labels);
  std::vector<double> norms;  // in float64: squares of such small numbers are zero in float32
  for (const Tensor& gradient : grad({loss}, outputs)) norms.push_back(gradient.to(float64).norm().item());
  return norms;
}
//! [measure]

}  // namespace

int main(int argc, char** argv) {
  bool all = false;
  CLI::App app("Measures how much gradient arrives at each block of plain and residual stacks before any training.");
  app.add_flag("--all", all, "print every block, for the figure");
  CLI11_PARSE(app, argc, argv);

  const auto standardise = data::normalize({0.1}, {0.3});
  auto loader = data::image_loader(examples::digits(pictures, 1), {.batch_size = pictures}, {standardise});
  const data::ImageBatch batch = *loader.next();
  std::vector<std::vector<double>> norms(stacks.size(),
                                         std::vector<double>(blocks));  // geometric means over the draws
  std::vector<double> spread(stacks.size());  // of the first block's: the largest over the smallest
  for (size_t s = 0; s < stacks.size(); ++s) {
    double smallest = INFINITY, largest = 0;
    for (int draw = 1; draw <= draws; ++draw) {
      manual_seed(draw);
      const std::vector<double> of_draw = gradient_norms(batch, stacks[s]);
      for (int64_t i = 0; i < blocks; ++i) norms[s][i] += std::log(of_draw[i]) / draws;
      smallest = std::min(smallest, of_draw[0]);
      largest = std::max(largest, of_draw[0]);
    }
    spread[s] = largest / smallest;
  }

  std::printf("block ");
  for (const Stack& how : stacks) std::printf("  %14s", how.name);
  for (int64_t i = blocks - 1; i >= 0; --i) {
    if (!all && i % 4 != 3 && i != 0) continue;
    std::printf("\n%5d ", int(i + 1));
    for (const auto& of_stack : norms) std::printf("  %14.1e", std::exp(of_stack[i]));
  }
  std::printf("\nratio ");
  std::vector<double> ratio;
  for (const auto& of_stack : norms) ratio.push_back(std::exp(of_stack.front() - of_stack.back()));
  for (const double of_stack : ratio) std::printf("  %14.1e", of_stack);
  std::printf("\nspread");
  for (const double of_stack : spread) std::printf("  %14.1f", of_stack);
  std::printf("\n");
  check(ratio[0] < 1e-12 && ratio[1] > 0.1 && ratio[1] < 10, "stacks without normalisation differ from the text");
  check(ratio[2] > 300 && ratio[3] < 50 && ratio[4] > 300, "stacks with normalisation differ from the text");
}
