// What several op files share.
#pragma once

#include "autograd/ops.h"
#include "tensor/kernels/table.h"

namespace gradus {

// g summed down to `shape`, from which it was broadcast.
Tensor sum_to(const Tensor& g, const Shape& shape);

// `x` as it is if floating point, else as float32: what functions such as exp do with integers.
Tensor as_floating(const Tensor& x);

// Brings both to one dtype, device and shape, the first two by promotion and the last by broadcasting.
std::pair<Tensor, Tensor> align(const char* op, const Tensor& a, const Tensor& b);

}  // namespace gradus
