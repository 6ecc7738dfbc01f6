// What dividing by the root of d does to scores, to the weights made of them, and to the gradient through these; then
// the same for the layer that article A1 lists in section 5.2.
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"

using namespace gradus;

namespace {

//! [measure]
struct Measured {
  double deviation;  // of the scores
  double largest;    // weight of a query, on average
  double gradient;   // 1 - the sum of squared weights: what a query's softmax lets through
};

Measured measure(const Tensor& scores) {  // (batch, queries, keys)
  const Tensor weights = softmax(scores, -1);
  return {.deviation = scores.std().item(),
          .largest = weights.amax(-1).mean().item(),
          .gradient = 1 - square(weights).sum(-1).mean().item()};
}
//! [measure]

void print(const Measured& m) { std::printf("%11.2f %8.2f %9.3f", m.deviation, m.largest, m.gradient); }

}  // namespace

int main() {
  manual_seed(11);
  const NoGrad guard;
  std::printf("        products as they are           divided by the root of d\n");
  std::printf("   d  deviation  largest  gradient   deviation  largest  gradient\n");
  for (const int64_t d : {4, 16, 64, 256, 1024}) {
    const Tensor q = randn({64, 64, d}), k = randn({64, 64, d});
    const Tensor products = matmul(q, k.transpose(-2, -1));
    const Measured scaled = measure(products / std::sqrt(double(d)));
    std::printf("%4d", int(d));
    print(measure(products));
    std::printf(" ");
    print(scaled);
    std::printf("\n");
    check(scaled.deviation > 0.9 && scaled.deviation < 1.1, "a deviation of ", scaled.deviation);
  }

  manual_seed(2);
  //! [article]
  const int64_t d = 512;
  const double bound = std::sqrt(6.0 / double(d + d));  // Keras' glorot_uniform
  const Tensor w_query = uniform({d, d}, -bound, bound), w_key = uniform({d, d}, -bound, bound);
  const Tensor w_value = uniform({d, d}, -bound, bound), w_output = uniform({d, d}, -bound, bound);

  const Tensor x = randn({32, 64, d});  // (batch, words, features)
  const Tensor q = matmul(x, w_query), k = matmul(x, w_key), v = matmul(x, w_value);
  const Tensor products = matmul(q, k.transpose(-2, -1));  // (32, 64, 64)
  const Tensor output = matmul(matmul(softmax(products, -1), v), w_output);
  //! [article]
  const Measured listed = measure(products), scaled = measure(products / std::sqrt(double(d)));
  std::printf("\nA1's SelfAttention(%d) on %s: output %s, %d weights\n", int(d), to_string(x.shape()).c_str(),
              to_string(output.shape()).c_str(),
              int(w_query.numel() + w_key.numel() + w_value.numel() + w_output.numel()));
  std::printf("as listed:                deviation %5.1f, largest weight %.2f\n", listed.deviation, listed.largest);
  std::printf("divided by the root of d: deviation %5.1f, largest weight %.2f\n", scaled.deviation, scaled.largest);
  check(listed.largest > 0.9 && scaled.largest < 0.12, "the largest weights are others");
}
