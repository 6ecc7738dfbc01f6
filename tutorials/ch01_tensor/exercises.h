// The exercises of chapter 01.
#pragma once

#include "tensor/tensor.h"

namespace ch01 {

struct Exercises {
  // 1.1 ★ The strides of a tensor of this shape whose elements lie in row-major order without gaps. Every size is at
  // least 1.
  gradus::Strides (*row_major)(const gradus::Shape& shape);

  // 1.2 ★ The transpose of a matrix, as a view. x: (m, n), with any strides and offset. Returns (n, m), in x's storage.
  gradus::Tensor (*transpose)(const gradus::Tensor& x);

  // 1.3 ★★ The shape that tensors of shapes a and b have together once both are broadcast. Throws gradus::Error where
  // they do not fit. Every size is at least 1.
  gradus::Shape (*broadcast)(const gradus::Shape& a, const gradus::Shape& b);

  // 1.4 ★★ x seen in the given shape, as a view: new dimensions come first, and sizes of 1 stretch. x: any shape,
  // strides and offset; x.shape() and `shape` fit.
  gradus::Tensor (*expand)(const gradus::Tensor& x, const gradus::Shape& shape);

  // 1.5 ★★★ The sum over dimension d (0 <= d < x.dim()), which is gone from the result. x: float64, any shape, strides
  // and offset.
  gradus::Tensor (*sum)(const gradus::Tensor& x, int d);
};

// For exercise 1.5.

// How far from the first element the element at `index` lies.
inline int64_t distance(const gradus::Dims& index, const gradus::Strides& strides) {
  int64_t steps = 0;
  for (int d = 0; d < index.size(); ++d) steps += index[d] * strides[d];
  return steps;
}

// Moves to the next index in row-major order; after the last comes the first again.
inline void next_index(gradus::Dims& index, const gradus::Shape& shape) {
  for (int d = shape.size() - 1; d >= 0; --d) {
    if (++index[d] < shape[d]) return;
    index[d] = 0;
  }
}

}  // namespace ch01
