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

// Products, softmax, normalisation and losses are computed in float32 or float64, on a GPU also from and to bfloat16.
inline void check_computable(const char* op, const Tensor& x) {
  check(x.dtype() == float32 || x.dtype() == float64 || (x.dtype() == bfloat16 && x.device() == Device::cuda), op,
        ": needs float32 or float64, got ", x.dtype());
}

// What an op of reduced precision, or one that needs all of float32, takes within an Autocast.
inline Tensor narrowed(const Tensor& x) { return autocast_enabled() && x.dtype() == float32 ? x.to(bfloat16) : x; }
inline Tensor widened(const Tensor& x) { return autocast_enabled() && x.dtype() == bfloat16 ? x.to(float32) : x; }

inline void check_together(const char* op, const Tensor& a, const Tensor& b) {
  check(a.device() == b.device(), op, ": operands are on ", a.device(), " and ", b.device());
}

// Converts both to the type that arithmetic between them gives.
inline void promote_any(const char* op, Tensor& a, Tensor& b) {
  check_together(op, a, b);
  DType common = promote(a.dtype(), b.dtype());
  if (a.dtype() != common) a = a.to(common);
  if (b.dtype() != common) b = b.to(common);
}
inline void promote_both(const char* op, Tensor& a, Tensor& b) {
  promote_any(op, a, b);
  check_computable(op, a);
}

// Converts an optional operand, such as a bias, to the type and device `x` has; undefined stays undefined.
inline Tensor match(const char* op, const Tensor& optional, const Tensor& x) {
  if (!optional.defined()) return optional;
  check_together(op, x, optional);
  return optional.dtype() == x.dtype() ? optional : optional.to(x.dtype());
}

// What kernels keep of rows of x, such as their means: of its type, but float32 where that is bfloat16.
inline TensorOptions statistics_options(const Tensor& x) {
  return {.dtype = x.dtype() == bfloat16 ? float32 : x.dtype(), .device = x.device()};
}

// The numbers of `x` in row-major order, outside any graph: what a kernel that takes bare pointers wants.
inline Tensor plain(const Tensor& x) { return x.detach().contiguous(); }
inline void* data_of(const Tensor& x) {
  if (!x.defined()) return nullptr;
  return static_cast<char*>(x.storage()->data()) + x.layout().offset * int64_t(size_of(x.dtype()));
}

inline const int64_t* indices_of(const Tensor& index) { return static_cast<const int64_t*>(data_of(index)); }

// The packed form (tensor/kernels/table.h) of a weight (out, in), for products of so many rows with its transpose: from
// the second such product of the same numbers on, null before and where it does not pay.
std::shared_ptr<const void> packed_weight(const Tensor& weight, int64_t rows);

// Indices into `count` things in a tensor on `device`; throws Error naming the first that is outside, unless it is
// `except`. Those on a GPU are looked at by the kernels that
// follow them; lengths of sequences, which are only compared with, are not.
void check_indices(const char* op, Device device, const Tensor& index, int64_t count, const char* things,
                   std::optional<int64_t> except = {});

inline std::string to_string(const Pair& p) { return "(" + std::to_string(p.h) + ", " + std::to_string(p.w) + ")"; }

}  // namespace gradus
