// What the exercises of chapter 02 ask for.
#pragma once

#include <functional>

#include "tensor/tensor.h"

namespace ch02 {

struct GradientPair {
  gradus::Tensor a, b;
};

struct Exercises {
  // 2.1 ★ The gradients of a * b. g, a, b: the same shape. Returns two of that shape.
  GradientPair (*mul_gradients)(const gradus::Tensor& g, const gradus::Tensor& a, const gradus::Tensor& b);

  // 2.2 ★★ The gradient of broadcasting. `shape` was broadcast to g's shape; returns g summed back to it.
  gradus::Tensor (*sum_back)(const gradus::Tensor& g, const gradus::Shape& shape);

  // 2.3 ★★ The gradients of matmul(a, b) where one b serves a whole batch.
  // g: (batch, m, n), a: (batch, m, k), b: (k, n). Returns (batch, m, k) and (k, n).
  GradientPair (*matmul_gradients)(const gradus::Tensor& g, const gradus::Tensor& a, const gradus::Tensor& b);

  // 2.4 ★★ The gradient of f by central differences. x: any shape, float64. Returns the shape of x.
  gradus::Tensor (*central_differences)(const std::function<double(const gradus::Tensor&)>& f,
                                        const gradus::Tensor& x, double step);

  // 2.5 ★★★ x / |x| for each row, as one op that can be differentiated twice. x: (rows, n), no row zero.
  // Returns (rows, n).
  gradus::Tensor (*unit_rows)(const gradus::Tensor& x);
};

}  // namespace ch02
