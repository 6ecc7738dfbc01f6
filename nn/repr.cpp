#include "nn/repr.h"

#include <cstdio>
#include <cstdlib>

namespace gradus::nn {

std::string repr(bool value) { return value ? "True" : "False"; }

std::string repr(double value) {
  char text[32];
  for (int precision = 6; precision <= 17; ++precision) {  // the shortest that reads back as the same number
    std::snprintf(text, sizeof text, "%.*g", precision, value);
    if (std::strtod(text, nullptr) == value) break;
  }
  std::string out = text;
  if (out.find_first_not_of("-0123456789") == std::string::npos) out += ".0";
  return out;
}

std::string repr(const Pair& value) { return "(" + std::to_string(value.h) + ", " + std::to_string(value.w) + ")"; }

std::string repr(const Shape& shape) {
  std::string out = "(";
  for (int i = 0; i < shape.size(); ++i) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

std::string repr_square(const Pair& value) { return value.h == value.w ? std::to_string(value.h) : repr(value); }

std::string repr(const PoolOptions& pool) {
  return "kernel_size=" + repr_square(pool.kernel) + ", stride=" + repr_square(pool.stride.value_or(pool.kernel)) +
         ", padding=" + repr_square(pool.padding);
}

}  // namespace gradus::nn
