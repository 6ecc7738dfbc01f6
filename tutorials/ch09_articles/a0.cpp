// Article A0: attention in an encoder and decoder.
#include <cmath>

#include "nn/attention.h"
#include "optim/adam.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

namespace {

void weights() {
  section("A0 4.3: weights from the scores [1 0 0 0 0]");
  const Tensor scores = tensor({1, 0, 0, 0, 0});
  const Tensor powers = exp(scores);             // [e 1 1 1 1]
  const Tensor weights = powers / powers.sum();  // divided by e + 4
  const double of_two = std::exp(1) / (std::exp(1) + 1);
  row("article", "0.732");
  row("right", text(weights));
  row("sum", text(powers.sum()) + ", e + 4");
  row("e/(e+1)", text(of_two) + ": the larger of two weights, not of five");
  check(std::abs(weights.sum().item() - 1) < 1e-6, "weights add up to one");
}

void context() {
  section("A0 4.3: h = [1 0 0 0 0] looks at c_i = [i 0 0 0 0], i from 1 to 5");
  //! [context]
  const Tensor h = tensor({1, 0, 0, 0, 0});                   // (5): the decoder's state
  const Tensor c = arange(1, 6).unsqueeze(1) * h;             // (5, 5): a row for each place of the source
  const Tensor scores = matmul(c, h);                         // (5): one number for each place
  const Tensor weights = softmax(scores, 0);                  // (5)
  const Tensor context = matmul(weights, c);                  // (5): one vector
  const Tensor calmer = softmax(scores / std::sqrt(5.0), 0);  // (5): with the factor of Vaswani et al.
  //! [context]
  row("article", "score [1 0 0 0 0], context [0.732 0 0 0 0]");
  row("scores", text(scores, 0));
  row("weights", text(weights));
  row("context", text(context));
  row("scaled", text(matmul(calmer, c)) + " from " + text(calmer));

  section("A0 4.3: the next state, from h and the context");
  row("article", "[1 0.732 0 0 0]");
  row("joined", text(cat({h, context})) + ": " + std::to_string(cat({h, context}).numel()) + " numbers");
  row("added", text(h + context));
}

//! [trained]
// Place i of five has to look at the place behind it, and the last at the first.
std::string trained(const nn::ScoredAttention& layer) {
  const Tensor places = eye(5).unsqueeze(0);  // (1, 5, 5): each place marked by a one
  const auto loss = [&] { return mse_loss(layer(places, places).output, places.roll(-1, 1)); };
  const double before = loss().item();
  if (layer.parameter_count() > 0) {
    optim::Adam optimizer(layer.parameters(), {.lr = 0.1});
    for (int update = 0; update < 200; ++update) {
      optimizer.zero_grad();
      loss().backward();
      optimizer.step();
    }
  }
  return std::to_string(layer.parameter_count()) + " weights, loss " + text(before, 2) + " before and " +
         text(loss(), 2) + " after";
}
//! [trained]

void training() {
  section("A0 5.2: what can be trained");
  manual_seed(1);
  row("h . c", trained(nn::ScoredAttention(5, 5, {.score = nn::Score::dot})));
  row("h . W c", trained(nn::ScoredAttention(5, 5, {.score = nn::Score::general})));
}

}  // namespace

int main() {
  weights();
  context();
  training();
}
