// Attention of one query to three keys, step by step.
#include <cmath>

#include "autograd/ops.h"
#include "tutorials/ch09_articles/print.h"

using namespace gradus;
using namespace ch09;

int main() {
  //! [steps]
  const Tensor query = tensor({1, 0, 1, 0});                               // (4)
  const Tensor keys = tensor({{2, 5, 0, 1}, {0, 3, 0, 4}, {1, 0, 3, 2}});  // (3, 4)
  const Tensor values = tensor({{10, 0}, {0, 10}, {5, 5}});                // (3, 2)
  const Tensor scores = matmul(keys, query);                               // (3): one for each key
  const Tensor scaled = scores / std::sqrt(4.0);                           // (3): four features
  const Tensor powers = exp(scaled);                                       // (3)
  const Tensor weights = powers / powers.sum();                            // (3): they add up to one
  const Tensor context = matmul(weights, values);                          // (2): like a value
  //! [steps]
  row("scores", text(scores));
  row("scaled", text(scaled));
  row("powers", text(powers) + ", together " + text(powers.sum()));
  row("weights", text(weights) + ", together " + text(weights.sum()));
  row("context", text(context));

  const Attended library = attend(query.unsqueeze(0), keys, values);
  row("library", text(library.output[0]) + " from the weights " + text(library.weights[0]));
  check(allclose(library.output[0], context), "the library and the hand disagree");
}
