// How this chapter's programs print rows of numbers.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace ch10 {

inline std::string text(double number, int digits = 4) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, number + 0.0);
  return buffer;
}

// Numbers in brackets, a matrix row after row.
inline std::string text(const gradus::Tensor& x, int digits = 4) {
  if (x.dim() == 0) return text(x.item(), digits);
  std::string all;
  for (int64_t i = 0; i < x.size(0); ++i) all += (i == 0 ? "" : " ") + text(x[i], digits);
  return "[" + all + "]";
}

inline void row(const std::string& name, const std::string& what) {
  std::printf("  %-9s %s\n", name.c_str(), what.c_str());
}

}  // namespace ch10
