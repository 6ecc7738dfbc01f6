// Exercises of chapter 02: gradient rules, and a way to check them.
#include "exercises.h"

#include "autograd/ops.h"
#include "tutorials/grading/grading.h"

using namespace gradus;
using ch02::GradientPair;

namespace {

// 2.1 ★ y = a * b, element by element, and g is the gradient of y. All three have the same shape.
// Return {gradient of a, gradient of b}.
GradientPair mul_gradients(const Tensor& g, const Tensor& a, const Tensor& b) {
  // BEGIN SOLUTION 2.1
  return {g * b, g * a};
  // END SOLUTION
  // MISTAKE each factor is given its own value instead of the other's
  // - return {g * b, g * a};
  // + return {g * a, g * b};
  // MISTAKE the gradient that comes in is left out
  // - return {g * b, g * a};
  // + return {b, a};
}

// 2.2 ★★ A tensor of `shape` was broadcast to the shape of g: dimensions were added in front, and dimensions of size 1
// were stretched. Each of its elements was so used several times. Return its gradient, whose shape is `shape`.
// g.sum({d}) sums over dimension d and drops it, g.sum({d}, true) leaves it there with size 1.
Tensor sum_back(const Tensor& g, const Shape& shape) {
  // BEGIN SOLUTION 2.2
  Tensor sum = g;
  while (sum.dim() > shape.size()) sum = sum.sum({0});
  for (int d = 0; d < shape.size(); ++d)
    if (shape[d] == 1 && sum.shape()[d] != 1) sum = sum.sum({d}, true);
  return sum;
  // END SOLUTION
  // MISTAKE dimensions added in front are averaged, not summed
  // - while (sum.dim() > shape.size()) sum = sum.sum({0});
  // + while (sum.dim() > shape.size()) sum = sum.mean({0});
  // MISTAKE stretched dimensions are not summed
  // - for (int d = 0; d < shape.size(); ++d)
  // -   if (shape[d] == 1 && sum.shape()[d] != 1) sum = sum.sum({d}, true);
}

// 2.3 ★★ y = matmul(a, b) with a (batch, m, k) and b (k, n): every sample is multiplied by the same b. g (batch, m, n)
// is the gradient of y. Return {gradient of a, gradient of b}, of shapes (batch, m, k) and (k, n).
// x.transpose(-2, -1) exchanges the last two dimensions of x.
GradientPair matmul_gradients(const Tensor& g, const Tensor& a, const Tensor& b) {
  // BEGIN SOLUTION 2.3
  const Tensor da = matmul(g, b.transpose(-2, -1));
  const Tensor db = matmul(a.transpose(-2, -1), g).sum({0});
  return {da, db};
  // END SOLUTION
  // MISTAKE b is not transposed
  // - const Tensor da = matmul(g, b.transpose(-2, -1));
  // + const Tensor da = matmul(g, b);
  // MISTAKE the sum over the batch is missing
  // - const Tensor db = matmul(a.transpose(-2, -1), g).sum({0});
  // + const Tensor db = matmul(a.transpose(-2, -1), g);
}

// 2.4 ★★ For every element of x, (f(x with it raised by step) - f(x with it lowered by step)) / (2 step). x may be any
// view and must stay as it is: x.clone() is a copy whose elements follow each other from .data<double>() on, and so do
// those of zeros_like(x).
Tensor central_differences(const std::function<double(const Tensor&)>& f, const Tensor& x, double step) {
  // BEGIN SOLUTION 2.4
  const Tensor moved = x.clone(), slopes = zeros_like(x);
  double* const element = moved.data<double>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double middle = element[i];
    element[i] = middle + step;
    const double above = f(moved);
    element[i] = middle - step;
    const double below = f(moved);
    element[i] = middle;
    slopes.data<double>()[i] = (above - below) / (2 * step);
  }
  return slopes;
  // END SOLUTION
  // MISTAKE the difference is one-sided
  // - slopes.data<double>()[i] = (above - below) / (2 * step);
  // + slopes.data<double>()[i] = (above - f(moved)) / step;
  // MISTAKE an element is not put back before the next one moves
  // - element[i] = middle;
}

// 2.5 ★★★ y = x / |x|, where |x| is the length of each row: sqrt of the sum of its squares. x: (rows, n).
// Compute the numbers from x.detach(), which records nothing, and hand them to `record` with a rule of your own, as
// `cube` does in differences.cpp. With Keep::inputs a rule has kept.input(), with Keep::output kept.output(), and with
// Keep::both both.
// Written with the library's ops, the rule can be differentiated in turn, as long as what depends on x is part of the
// graph in it, too.
Tensor unit_rows(const Tensor& x) {
  // BEGIN SOLUTION 2.5
  const auto length = [](const Tensor& rows) { return sqrt(square(rows).sum({-1}, true)); };
  const Tensor numbers = x.detach() / length(x.detach());
  return record("unit_rows", {x}, numbers, Keep::both, [length](const Tensor& g, const Kept& kept) {
    const Tensor y = kept.output();
    const Tensor scale = length(kept.input());
    const Tensor along = (g * y).sum({-1}, true);
    return grads((g - y * along) / scale);
  });
  // END SOLUTION
  // MISTAKE the length is taken for a constant
  // - return grads((g - y * along) / scale);
  // + return grads(g / scale);
  // MISTAKE the rule takes the length out of the graph
  // - const Tensor scale = length(kept.input());
  // + const Tensor scale = length(kept.input().detach());
}

}  // namespace

EXERCISES(ch02::Exercises, mul_gradients, sum_back, matmul_gradients, central_differences, unit_rows);
