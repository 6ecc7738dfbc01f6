// The exercises of chapter 00.
#pragma once

#include "tensor/tensor.h"

namespace ch00 {

struct Exercises {
  // 0.1 ★ The numbers 0, 1, 2, 3, 4, 5 as a table: shape (2, 3), float64.
  gradus::Tensor (*table)();

  // 0.2 ★ Degrees Fahrenheit to degrees Celsius: subtract 32, then multiply by five ninths. Any shape, float64.
  gradus::Tensor (*celsius)(const gradus::Tensor& fahrenheit);

  // 0.3 ★★ Whether a + b can be computed. Throws nothing.
  bool (*fits)(const gradus::Tensor& a, const gradus::Tensor& b);
};

}  // namespace ch00
