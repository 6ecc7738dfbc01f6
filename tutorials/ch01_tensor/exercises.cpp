// Chapter 01: shapes, strides and broadcasting, with the library's own types but without its functions for it.
//
// Useful here: x.shape(), x.strides(), x.layout(), x.storage(), x.data<double>(), Tensor(storage, layout), zeros(...),
// check(ok, "message"), and of a Dims (a Shape or Strides): size(), [i], push_back, erase, Dims::filled(count, value).
#include "exercises.h"

#include <algorithm>

#include "tutorials/grading/grading.h"

using namespace gradus;

namespace {

// 1.1 ★ Go through the dimensions from the last to the first. How many elements does one step pass over?
Strides row_major(const Shape& shape) {
  // BEGIN SOLUTION 1.1
  Strides strides = shape;
  int64_t step = 1;
  for (int d = shape.size() - 1; d >= 0; --d) {
    strides[d] = step;
    step *= shape[d];
  }
  return strides;
  // END SOLUTION
  // MISTAKE the first dimension's neighbours lie side by side, not the last one's
  // - for (int d = shape.size() - 1; d >= 0; --d) {
  // + for (int d = 0; d < shape.size(); ++d) {
  // MISTAKE a stride is the next dimension's size alone, not the product of all that follow
  // - step *= shape[d];
  // + step = shape[d];
}

// 1.2 ★ A view is a Tensor of x's storage with another Layout: shape, strides, offset.
Tensor transpose(const Tensor& x) {
  // BEGIN SOLUTION 1.2
  Layout layout = x.layout();
  std::swap(layout.shape[0], layout.shape[1]);
  std::swap(layout.strides[0], layout.strides[1]);
  return Tensor(x.storage(), layout);
  // END SOLUTION
  // MISTAKE the shape is swapped, but not the strides
  // - std::swap(layout.strides[0], layout.strides[1]);
  // MISTAKE the numbers were copied: the result is no view of x
  // - return Tensor(x.storage(), layout);
  // + return Tensor(x.storage(), layout).clone();
}

// 1.3 ★★ Align the shapes at their last dimension. Sizes must be equal, unless one of them is 1 or missing.
Shape broadcast(const Shape& a, const Shape& b) {
  // BEGIN SOLUTION 1.3
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  const int extra = longer.size() - shorter.size();
  Shape result = longer;
  for (int d = 0; d < shorter.size(); ++d) {
    const int64_t p = longer[d + extra], q = shorter[d];
    check(p == q || p == 1 || q == 1, "sizes ", p, " and ", q, " do not broadcast");
    result[d + extra] = p == 1 ? q : p;
  }
  return result;
  // END SOLUTION
  // MISTAKE the shapes are aligned at their first dimension, not at their last
  // - const int extra = longer.size() - shorter.size();
  // + const int extra = 0;
  // MISTAKE sizes that do not fit are not refused
  // - check(p == q || p == 1 || q == 1, "sizes ", p, " and ", q, " do not broadcast");
}

// 1.4 ★★ Which stride reads the same element at every index?
Tensor expand(const Tensor& x, const Shape& shape) {
  // BEGIN SOLUTION 1.4
  const int extra = shape.size() - x.dim();
  Layout layout{shape, Dims::filled(shape.size(), 0), x.layout().offset};
  for (int d = 0; d < x.dim(); ++d) {
    if (x.shape()[d] == shape[d + extra]) layout.strides[d + extra] = x.strides()[d];
  }
  return Tensor(x.storage(), layout);
  // END SOLUTION
  // MISTAKE a stretched dimension keeps its stride
  // - if (x.shape()[d] == shape[d + extra]) layout.strides[d + extra] = x.strides()[d];
  // + layout.strides[d + extra] = x.strides()[d];
  // MISTAKE the offset of x is lost
  // - Layout layout{shape, Dims::filled(shape.size(), 0), x.layout().offset};
  // + Layout layout{shape, Dims::filled(shape.size(), 0), 0};
}

// 1.5 ★★★ Every element of x is added to one element of the result. With a stride of 0 along d, the result can be
// walked in step with x. ch01::distance and ch01::next_index in exercises.h help.
Tensor sum(const Tensor& x, int d) {
  // BEGIN SOLUTION 1.5
  Shape shape = x.shape();
  shape[d] = 1;
  const Tensor y = zeros(shape, {.dtype = float64});
  Strides from = x.strides(), to = y.strides();
  to[d] = 0;
  Dims index = Dims::filled(x.dim(), 0);
  for (int64_t left = x.numel(); left > 0; --left) {
    y.data<double>()[ch01::distance(index, to)] += x.data<double>()[ch01::distance(index, from)];
    ch01::next_index(index, x.shape());
  }
  return y.squeeze(d);
  // END SOLUTION
  // MISTAKE x is read as if its elements lay in row-major order
  // - Strides from = x.strides(), to = y.strides();
  // + Strides from = contiguous_strides(x.shape()), to = y.strides();
  // MISTAKE the dimension that was summed over is still there, with size 1
  // - return y.squeeze(d);
  // + return y;
}

}  // namespace

EXERCISES(ch01::Exercises, row_major, transpose, broadcast, expand, sum);
