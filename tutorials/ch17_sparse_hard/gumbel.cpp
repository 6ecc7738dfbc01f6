// A random choice that has a gradient: the Gumbel trick by hand, then counted, then how good its gradient is.
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

void show(const char* what, const Tensor& x) {  // (n)
  std::printf("%-22s", what);
  for (const double value : x.to_vector()) std::printf("%9.4f", value);
  std::printf("\n");
}

void show_estimate(const char* what, const Tensor& gradients) {  // (samples)
  std::printf("%-14s %8.3f %9.3f\n", what, gradients.mean().item(), gradients.std().item());
}

}  // namespace

int main() {
  //! [by hand]
  const Tensor logits = log(tensor({0.5, 0.3, 0.2}, whole));  // (3 choices): logarithms of their probabilities
  const Tensor u = tensor({0.2, 0.9, 0.5}, whole);            // as if drawn, uniform in (0, 1)
  const Tensor noise = -log(-log(u));                         // Gumbel noise
  const Tensor noisy = logits + noise;
  //! [by hand]
  show("logits", logits);
  show("u", u);
  show("-log u", -log(u));
  show("noise, -log of that", noise);
  show("their sum", noisy);
  for (const double tau : {2.0, 1.0, 0.5, 0.1}) {
    char name[32];
    std::snprintf(name, sizeof name, "softmax, tau %.1f", tau);
    show(name, softmax(noisy / tau, 0));
  }
  check(noisy.argmax().item() == 1, "the second has the largest sum");

  //! [counts]
  manual_seed(17);
  const int64_t samples = 100000;
  const Tensor gumbel = -log(-log(uniform({samples, 3}, 1e-20, 1, whole)));
  const Tensor chosen = one_hot((logits + gumbel).argmax(-1), 3).to(float64);  // (samples, 3)
  //! [counts]
  std::printf("\n");
  show("probabilities", exp(logits));
  show("chosen how often", chosen.mean(0));
  check(allclose(chosen.mean(0), exp(logits), 0.02), "the choices have other probabilities");

  const Tensor cost = tensor({1, 0, 3}, whole);
  const Tensor p = exp(logits), expected = (p * cost).sum();
  show("\ncost of each choice", cost);
  show("expected cost", expected.unsqueeze(0));
  show("its gradient, exactly", p * (cost - expected));

  // Of the third logit, which has the largest.
  std::printf("\nestimator          mean deviation\n");
  for (const double tau : {5.0, 2.0, 1.0, 0.5, 0.2, 0.1}) {
    //! [estimate]
    const Tensor each = logits.expand({samples, 3}).clone().requires_grad_();
    const Tensor soft = softmax((each + gumbel) / tau, -1);  // (samples, 3)
    (soft * cost).sum().backward();                          // each.grad(): what every sample would have answered
    //! [estimate]
    char name[32];
    std::snprintf(name, sizeof name, "tau %.1f", tau);
    show_estimate(name, each.grad().select(1, 2));
  }
  const Tensor paid = (chosen * cost).sum(1);  // (samples)
  const Tensor score_function = paid * (chosen - p).select(1, 2);
  show_estimate("score function", score_function);
  check(std::abs(score_function.mean().item() - 0.38) < 0.02, "it should be unbiased");
}
