// How the arguments of a module are printed: as Python would.
#pragma once

#include <string>

#include "autograd/ops.h"

namespace gradus::nn {

std::string repr(bool value);                // True
std::string repr(double value);              // 0.1, 1.0, 1e-05
std::string repr(const Pair& value);         // (3, 3)
std::string repr(const Shape& shape);        // (10,)
std::string repr_square(const Pair& value);  // 3, or (3, 5) where the two differ
std::string repr(const PoolOptions& pool);   // kernel_size=2, stride=2, padding=0

}  // namespace gradus::nn
