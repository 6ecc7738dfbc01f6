// What people get wrong with shortcuts and with attention in networks on images.
#include <cstdio>

#include "nn/residual.h"
#include "tutorials/refused.h"

using namespace gradus;
using tutorials::refused;

namespace {

double spread(const Tensor& x) { return x.std().item(); }

// 8 channels to as many, with He's weights.
Tensor convolve(const Tensor& x) { return nn::he_conv2d(8, 8, 3)(x); }
Tensor branch(const Tensor& x) { return convolve(relu(convolve(x))); }

void widths_differ() {
  const nn::Conv2d half(nn::he_conv2d(8, 16, 3, 2));
  const Tensor x = randn({4, 8, 14, 14});
  x + half(x);
}

void activated_branch() {
  Tensor right = relu(randn({16, 8, 14, 14})), wrong = right;
  for (int i = 0; i < 10; ++i) {
    const auto normed = [](const Tensor& y) { return batch_norm(y, {}, {}, {}, {}, true); };
    right = relu(right + normed(branch(right)));
    wrong = wrong + relu(normed(branch(wrong)));
  }
  const auto falls = [](const Tensor& x, const Tensor& before) { return (x < before).to(float64).mean().item(); };
  const Tensor x = relu(randn({16, 8, 14, 14}));
  const double right_falls = falls(relu(x + branch(x)), x), wrong_falls = falls(x + relu(branch(x)), x);
  std::printf("ReLU on the branch, not on the sum\n");
  std::printf("  numbers that a block makes smaller: %.0f%%, with ReLU on the sum %.0f%%\n", 100 * wrong_falls,
              100 * right_falls);
  std::printf("  mean after ten blocks: %.1f, with ReLU on the sum %.1f\n", wrong.mean().item(), right.mean().item());
  check(wrong_falls == 0 && right_falls > 0.2, "ReLU on the branch is not what the text says");
}

void no_normalisation() {
  Tensor x = relu(randn({16, 8, 14, 14}));
  const double before = spread(x);
  for (int i = 0; i < 20; ++i) x = relu(x + branch(x));
  std::printf("twenty blocks without normalisation\n  numbers are %.0f times as large\n", spread(x) / before);
  check(spread(x) > 30 * before, "numbers do not grow without normalisation");
}

void softmax_over_channels() {
  const Tensor scores = randn({100, 64});
  std::printf("softmax over 64 channels instead of a sigmoid for each\n  mean weight %.4f, of sigmoids %.4f\n",
              softmax(scores, 1).mean().item(), sigmoid(scores).mean().item());
}

void one_place() {
  nn::BatchNorm2d norm(8);
  norm(randn({1, 8, 1, 1}));
}

}  // namespace

int main() {
  const NoGrad guard;
  manual_seed(1);
  refused("the identity where height, width and channels change", widths_differ);
  activated_branch();
  no_normalisation();
  softmax_over_channels();
  refused("batch normalisation of a single number, while training", one_place);
}
