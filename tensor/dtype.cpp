#include "tensor/dtype.h"

#include <cmath>

#include "tensor/error.h"

namespace gradus {

static constexpr const char* names[dtype_count] = {"float32", "float64", "int64", "bool", "uint8", "bfloat16"};

std::string to_string(DType t) { return names[int(t)]; }

DType dtype_from_string(std::string_view name) {
  for (int i = 0; i < dtype_count; ++i)
    if (name == names[i]) return DType(i);
  fail({"unknown dtype '", name, "' (known: float32, float64, int64, bool, uint8, bfloat16)"});
}

DType promote(DType a, DType b) {
  constexpr int rank[dtype_count] = {4, 5, 2, 0, 1, 3};
  return rank[int(a)] >= rank[int(b)] ? a : b;
}

float half_to_float(uint16_t bits) {
  int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  float magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                    : exponent     ? std::ldexp(float(1024 + mantissa), exponent - 25)
                                   : std::ldexp(float(mantissa), -24);
  return bits >> 15 ? -magnitude : magnitude;
}

}  // namespace gradus
