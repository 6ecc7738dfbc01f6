// A matrix of rank one and what it does to a layer, with small numbers; the gradients of its two factors; and what a
// low rank saves.
#include <cstdio>

#include "nn/lora.h"

using namespace gradus;

namespace {

const TensorOptions whole{.dtype = float64};

// A vector in the line of its name, a matrix below it.
void print(const char* name, const Tensor& x) {
  const bool vector = x.dim() == 1;
  std::printf(vector ? "%-12s" : "%s\n", name);
  const Tensor rows = vector ? x.unsqueeze(0) : x;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    for (int64_t j = 0; j < rows.size(1); ++j) std::printf("%6g", rows[i][j].item());
    std::printf("\n");
  }
}

}  // namespace

int main() {
  //! [update]
  const Tensor W = tensor({{2, 0, 1}, {0, 1, 0}, {1, 1, 3}}, whole);  // (3 outputs, 3 inputs), trained before
  const Tensor B = tensor({{1}, {2}, {0}}, whole);                    // (3 outputs, rank 1)
  const Tensor A = tensor({{1, 0, -1}}, whole);                       // (rank 1, 3 inputs)
  const Tensor x = tensor({1, 2, 3}, whole);                          // (3)

  const Tensor change = matmul(B, A);                            // (3, 3): an outer product
  const Tensor beside = matmul(W, x) + matmul(B, matmul(A, x));  // three numbers, by way of one
  const Tensor merged = matmul(W + change, x);                   // the same three
  //! [update]
  print("change B A", change);
  print("A x", matmul(A, x));
  print("B A x", matmul(B, matmul(A, x)));
  print("W x", matmul(W, x));
  print("W x + B A x", beside);
  print("(W + B A) x", merged);
  check(equal(beside, merged), "both ways should give the same");

  const Tensor second = matmul(tensor({{0}, {1}, {1}}, whole), tensor({{0, 1, 0}}, whole));
  print("another of rank 1", second);
  print("their sum, of rank 2", change + second);

  std::printf("\nbegun with zeros in B\n");
  {
    //! [gradients]
    const Tensor zero_B = zeros({3, 1}, whole).requires_grad_(), some_A = A.requires_grad_();
    const Tensor g = tensor({1, -1, 2}, whole);  // (3): the gradient of y
    const auto y = [&] { return matmul(W, x) + matmul(zero_B, matmul(some_A, x)); };
    y().backward(g);
    //! [gradients]
    print("y", y().detach());
    print("gradient of B", zero_B.grad());
    print("gradient of A", some_A.grad());
    check(equal(zero_B.grad(), matmul(g.unsqueeze(1), matmul(A, x).unsqueeze(0))), "gradient of B");
    check(equal(some_A.grad(), zeros({1, 3}, whole)), "gradient of A");
    {
      const NoGrad guard;
      for (const Tensor& p : {zero_B, some_A}) Tensor(p).sub_(p.grad(), 0.5);
    }
    print("B after a step of rate 0.5", zero_B.detach());
    zero_B.zero_grad(), some_A.zero_grad();
    y().backward(g);
    print("gradient of A then", some_A.grad());
    check(equal(some_A.grad(), matmul(zero_B.detach().t(), matmul(g.unsqueeze(1), x.unsqueeze(0)))),
          "gradient of A after a step");
  }

  std::printf("\nweights of a change to a matrix of n x n\n");
  std::printf("     n       whole    rank 1    rank 4   rank 16   rank 4, of the whole\n");
  for (const int64_t n : {48, 768, 4096, 12288})
    std::printf("%6lld %11lld %9lld %9lld %9lld   %.2f%%\n", static_cast<long long>(n), static_cast<long long>(n * n),
                static_cast<long long>(2 * n), static_cast<long long>(8 * n), static_cast<long long>(32 * n),
                800.0 / double(n));
}
