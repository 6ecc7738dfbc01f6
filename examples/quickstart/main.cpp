// Learns y = sin(x) from noisy points: the whole of a training in twenty lines.
#include <gradus/gradus.h>

#include <cstdio>

using namespace gradus;

int main() {
  manual_seed(1);
  const Tensor x = uniform({512, 1}, -3, 3);
  const Tensor y = sin(x) + 0.1 * randn({512, 1});

  nn::Sequential model{nn::Linear(1, 64), nn::Tanh(), nn::Linear(64, 1)};
  optim::Adam optimizer(model.parameters(), {.lr = 0.01});
  for (int step = 0; step <= 500; ++step) {
    const Tensor loss = mse_loss(model(x), y);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step % 100 == 0) std::printf("step %3d  loss %.4f\n", step, loss.item());
  }

  const NoGrad guard;
  for (const double at : {-1.5, 0.0, 1.5}) {
    std::printf("sin(%4.1f) is about %5.2f\n", at, model(tensor({{at}})).item());
  }
}
