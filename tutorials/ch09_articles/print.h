// How this chapter's programs print: what an article says beside what is right.
#pragma once

#include <cstdio>
#include <string>

#include "tensor/tensor.h"

namespace ch09 {

inline std::string text(double number, int digits = 4) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, number);
  return buffer;
}

// Numbers in brackets, a matrix row after row; one number alone without.
inline std::string text(const gradus::Tensor& x, int digits = 4) {
  if (x.numel() == 1) return text(x.item(), digits);
  std::string all;
  for (int64_t i = 0; i < x.size(0); ++i)
    all += (i == 0 ? "" : " ") + (x.dim() == 1 ? text(x[i].item(), digits) : text(x[i], digits));
  return "[" + all + "]";
}

inline void section(const std::string& what) { std::printf("%s\n", what.c_str()); }
inline void row(const std::string& who, const std::string& what) {
  std::printf("  %-9s %s\n", who.c_str(), what.c_str());
}

}  // namespace ch09
