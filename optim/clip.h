// Keeping gradients small.
#pragma once

#include <vector>

#include "autograd/autograd.h"

namespace gradus::optim {

struct ClipOptions {
  double norm_type = 2;             // p of the norm; may be INFINITY
  bool error_if_nonfinite = false;  // throw Error, with the gradients as they were, where the norm is NaN or infinite
};
// Scales the gradients of `parameters` (those that have one) by max_norm / (norm + 1e-6) where that is below 1, the
// norm being that of all of them as one vector: Pascanu, Mikolov and Bengio 2013, algorithm 1. Returns that norm.
double clip_grad_norm_(const std::vector<Tensor>& parameters, double max_norm, const ClipOptions& options = {});

// Moves each element of the gradients into [-limit, limit].
void clip_grad_value_(const std::vector<Tensor>& parameters, double limit);

}  // namespace gradus::optim
