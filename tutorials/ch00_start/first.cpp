// A first program with the library: a table, something computed from it, and how that changes with each number.
//! [first]
#include <gradus/gradus.h>

#include <iostream>

using namespace gradus;

int main() {
  const Tensor x = tensor({{1, 2, 3}, {4, 5, 6}}).requires_grad_();
  const Tensor y = (x * x).sum();
  y.backward();
  std::cout << "x = " << x << "\nsum of squares = " << y.item() << "\nits gradient = " << x.grad() << "\n";
}
//! [first]
