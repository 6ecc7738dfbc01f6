// What errors call kernels and operations.
#pragma once

#include <iterator>

#include "tensor/kernels/table.h"

namespace gradus {

enum Kernel {
#define GRADUS_ENUM(name, arguments) kernel_##name,
  GRADUS_KERNELS(GRADUS_ENUM)
#undef GRADUS_ENUM
};
inline constexpr const char* kernel_names[] = {
#define GRADUS_NAME(name, arguments) #name,
    GRADUS_KERNELS(GRADUS_NAME)
#undef GRADUS_NAME
};

inline constexpr const char* unary_names[] = {
    "affine", "abs",     "sign",       "square", "exp",       "log",   "sqrt",     "rsqrt", "reciprocal",
    "tanh",   "sigmoid", "erf",        "sin",    "cos",       "floor", "ceil",     "round", "pow",
    "clamp",  "relu",    "leaky_relu", "gelu",   "gelu_tanh", "silu",  "softplus", "log1p", "expm1"};
static_assert(std::size(unary_names) == size_t(Unary::count_));
inline constexpr const char* binary_names[] = {"add", "sub", "mul", "div", "maximum", "minimum", "pow"};
static_assert(std::size(binary_names) == size_t(Binary::count_));

}  // namespace gradus
