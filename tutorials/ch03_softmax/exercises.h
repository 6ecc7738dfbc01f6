// What you write in chapter 03: see exercises.cpp.
#pragma once

#include "tensor/tensor.h"

namespace ch03 {

// Scores are (rows, classes), float64, of any strides; targets (rows), int64.
struct Exercises {
  // 3.1 ★ log(sum(exp(z))) of each row, without overflow: (rows).
  gradus::Tensor (*log_sum_exp)(const gradus::Tensor& scores);
  // 3.2 ★ softmax of each row: (rows, classes).
  gradus::Tensor (*softmax)(const gradus::Tensor& scores);
  // 3.3 ★★ d(mean loss)/d(scores), the loss being cross-entropy: (rows, classes).
  gradus::Tensor (*cross_entropy_gradient)(const gradus::Tensor& scores, const gradus::Tensor& target);
  // 3.4 ★★ The mean cross-entropy of the rows whose target is not `ignore_index`: ().
  gradus::Tensor (*cross_entropy)(const gradus::Tensor& scores, const gradus::Tensor& target, int64_t ignore_index);
  // 3.5 ★★★ d(loss)/d(scores) from p = softmax(scores) and d(loss)/dp, both (rows, classes): (rows, classes).
  gradus::Tensor (*softmax_gradient)(const gradus::Tensor& p, const gradus::Tensor& dp);
};

}  // namespace ch03
