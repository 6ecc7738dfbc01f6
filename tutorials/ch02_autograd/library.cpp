// The worked example once more, with the library, and the graph behind a layer.
#include <cmath>
#include <cstdio>

#include "autograd/ops.h"

using namespace gradus;

namespace {

//! [worked]
void worked_example() {
  const Tensor a = tensor(2.0, {.dtype = float64, .requires_grad = true});
  const Tensor b = tensor(3.0, {.dtype = float64, .requires_grad = true});
  const Tensor y = (a + b) * sin(a);
  y.backward();
  std::printf("y = %.4f, dy/da = %.4f, dy/db = %.4f\n\n", y.item(), a.grad().item(), b.grad().item());
  check(std::fabs(a.grad().item() - -1.1714) < 1e-4, "the tape and the library differ");
}

void layer() {
  manual_seed(1);
  const Tensor x = randn({4, 3});  // four samples of three features
  const Tensor weight = randn({3, 2}, {.requires_grad = true});
  const Tensor bias = randn({2}, {.requires_grad = true});
  const Tensor z = matmul(x, weight) + bias;  // (4, 3) times (3, 2), plus (2): (4, 2)
  const Tensor loss = square(tanh(z)).sum();  // ()
  std::printf("%s\n", graph_mermaid(loss, {{"weight", weight}, {"bias", bias}, {"loss", loss}}).c_str());

  const Tensor dz = grad({loss}, {z}, {.retain_graph = true})[0];  // (4, 2)
  loss.backward();
  check(allclose(bias.grad(), dz.sum({0})), "the bias's gradient is not the sum over the samples");
  std::printf("loss %s, dz %s, weight.grad %s, bias.grad %s\n", to_string(loss.shape()).c_str(),
              to_string(dz.shape()).c_str(), to_string(weight.grad().shape()).c_str(),
              to_string(bias.grad().shape()).c_str());
}
//! [worked]

}  // namespace

int main() {
  worked_example();
  layer();
}
