// Article A1: the attention layers of language models.
#include <cmath>

#include "nn/init.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

void matrix() {
  section("A1 4.2: Q K^T of three queries and three keys");
  const Tensor queries = tensor({{1, 2}, {3, 4}, {5, 6}});  // (3, 2)
  const Tensor keys = tensor({{1, 0}, {0, 1}, {1, 1}});     // (3, 2)
  const Tensor scores = matmul(queries, keys.t());          // (3, 3): row i is what query i thinks of each key
  const Tensor theirs = (queries * keys).sum({1});          // (3): query i and key i alone
  row("article", text(theirs, 0));
  for (int64_t i = 0; i < 3; ++i) row(i == 0 ? "right" : "", text(scores[i], 0));
  check(equal(theirs, scores.diagonal()), "the article's vector is the diagonal");
}

void mask() {
  section("A1 4.1: the query 1 looks at the keys and values 1, 2, 3, of which the last is hidden");
  const Tensor scores = tensor({1, 2, 3}), values = tensor({1, 2, 3}), mask = tensor({0, 0, -1e9});
  const Tensor theirs = matmul(softmax(scores, 0), values) + mask;  // behind the softmax, the sum and all
  const Tensor weights = softmax(scores + mask, 0);                 // before the softmax
  const Tensor right = matmul(weights, values);
  row("article", text(theirs, 2));
  row("weights", text(weights));
  row("right", text(right));
  check(weights[2].item() == 0, "what is hidden has no weight");
}

void scale() {
  section("A1 5.2: SelfAttention(512) of (32, 64, 512)");
  manual_seed(1);
  //! [scale]
  const auto glorot = [] { return nn::xavier_uniform_(empty({512, 512})); };
  const Tensor x = randn({32, 64, 512});                                // batch, places, features
  const Tensor query = matmul(x, glorot()), key = matmul(x, glorot());  // (32, 64, 512)
  const Tensor scores = matmul(query, key.transpose(1, 2));             // (32, 64, 64)
  const auto describe = [&](double divisor) {
    const Tensor weights = softmax(scores / divisor, -1);      // (32, 64, 64)
    const Tensor slope = (weights * (1 - weights)).sum({-1});  // (32, 64)
    return "scores deviate by " + text((scores / divisor).std(), 1) + ", the largest of 64 weights is " +
           text(weights.amax({-1}).mean(), 2) + ", slope " + text(slope.mean(), 2);
  };
  const Tensor value = matmul(x, glorot());
  const Tensor output = matmul(matmul(softmax(scores / std::sqrt(512.0), -1), value), glorot());
  //! [scale]
  row("shape", to_string(output.shape()) + ", from " + std::to_string(4 * 512 * 512) + " weights");
  row("article", describe(1));
  row("right", describe(std::sqrt(512.0)));
  check(std::abs(scores.std().item() - std::sqrt(512.0)) < 0.5, "scores deviate by the root of the features");
}

}  // namespace

int main() {
  matrix();
  mask();
  scale();
}
