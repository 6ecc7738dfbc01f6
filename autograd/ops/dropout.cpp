#include "autograd/ops/common.h"

namespace gradus {

namespace {

// Linear in x, so its gradient is itself, with the same random numbers.
Tensor dropout_with(PhiloxState state, const Tensor& x, double p) {
  Tensor y = empty_like(x);
  kernels(x).dropout(plain(x).raw().data, y.raw().data, y.numel(), state, p);
  return record("dropout", {x}, y, Keep::none,
                [state, p](const Tensor& g, const Kept&) { return grads(dropout_with(state, g, p)); });
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training) {
  check(p >= 0 && p <= 1, "dropout: p must be between 0 and 1, got ", p);
  check_computable("dropout", x);
  if (!training || p == 0) return x;
  if (p == 1) return x * 0.0;
  return dropout_with(default_generator().take(x.numel()), x, p);
}

}  // namespace gradus
