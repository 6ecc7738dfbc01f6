#include <gradus/gradus.h>

#include <cstdio>

int main() {
  using namespace gradus;
  const Tensor x = tensor({1, 2, 3}).requires_grad_();
  (x * x).sum().backward();
  std::printf("gradient %g %g %g\n", x.grad()[0].item(), x.grad()[1].item(), x.grad()[2].item());
}
