// From the 32 random bits of a Philox word to a distribution. Only + - * / sqrt and comparisons of doubles, and what
// normal.h needs of floats, which IEEE 754 defines to the last bit, so that every platform draws the same numbers; no
// library's log or cos is asked.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "tensor/kernels/philox.h"

namespace gradus {

// Uniform in [low, high), never `high` itself although the last rounding may reach it. A float gets 24 random bits, a
// double 32.
template <class T>
GRADUS_DEVICE T uniform_from(uint32_t word, T low, T high) {
  T unit = sizeof(T) == 4 ? T(word >> 8) * T(0x1p-24) : T(word) * T(0x1p-32);
  T value = low + unit * (high - low);
  return value < high || low == high ? value : std::nextafter(high, low);
}

// The words that are kept when a share `p` of all 2^32 is: those below this.
GRADUS_DEVICE inline uint64_t threshold(double p) { return uint64_t(p * 0x1p32); }

// Natural logarithm of a positive normal x: x = 2^e m, log m = 2 atanh((m - 1) / (m + 1)) by its series.
GRADUS_DEVICE inline double portable_log(double x) {
  uint64_t bits = std::bit_cast<uint64_t>(x);
  constexpr uint64_t root_half = 0x3fe6a09e667f3bcdu;
  int64_t e = int64_t(bits - root_half) >> 52;
  double m = std::bit_cast<double>(bits - (uint64_t(e) << 52));  // in [sqrt(1/2), sqrt(2))
  double s = (m - 1) / (m + 1), z = s * s, sum = 0;
  for (int k = 21; k >= 1; k -= 2) sum = sum * z + 1.0 / k;
  return double(e) * 0.6931471805599453 + 2 * s * sum;
}

struct SinCos {
  double sin, cos;
};

// Of the angle 2 pi word / 2^32: the quadrant is exact, the rest of the angle lies within pi/4 of it. The
// series as x (1 - z/6 (1 - z/20 (...))) and 1 - z/2 (1 - z/12 (...)) with z = x^2.
GRADUS_DEVICE inline SinCos portable_sincos(uint32_t word) {
  uint32_t quadrant = (word + 0x20000000u) >> 30;
  double x = double(int32_t(word - (quadrant << 30))) * (1.5707963267948966 / 0x1p30), z = x * x;
  double s = 1, c = 1;
  for (int k = 17; k >= 3; k -= 2) s = 1 - s * (z * (1.0 / (k * (k - 1))));
  for (int k = 16; k >= 2; k -= 2) c = 1 - c * (z * (1.0 / (k * (k - 1))));
  s *= x;
  switch (quadrant) {
    case 1: return {c, -s};
    case 2: return {-s, -c};
    case 3: return {-c, s};
    default: return {s, c};
  }
}

struct NormalPair {
  double first, second;
};

// Two independent normal numbers with mean 0 and standard deviation 1 from two words (Box and Muller 1958).
GRADUS_DEVICE inline NormalPair normal_from(uint32_t w0, uint32_t w1) {
  double radius = std::sqrt(-2 * portable_log((double(w0) + 0.5) * 0x1p-32));
  SinCos angle = portable_sincos(w1);
  return {radius * angle.cos, radius * angle.sin};
}

// A float as the pack of one lane that normal.h needs.
namespace one_lane {

struct Bits {
  uint32_t v;
};

struct Vec {
  float v;
  GRADUS_DEVICE explicit Vec(double x) : v(float(x)) {}
};

using Mask = bool;

GRADUS_DEVICE inline Vec operator+(Vec a, Vec b) { return Vec(a.v + b.v); }
GRADUS_DEVICE inline Vec operator-(Vec a, Vec b) { return Vec(a.v - b.v); }
GRADUS_DEVICE inline Vec operator*(Vec a, Vec b) { return Vec(a.v * b.v); }
GRADUS_DEVICE inline Vec fma(Vec a, Vec b, Vec c) { return Vec(std::fma(a.v, b.v, c.v)); }
GRADUS_DEVICE inline Vec sqrt(Vec x) { return Vec(std::sqrt(x.v)); }
GRADUS_DEVICE inline Bits bits(Vec x) { return {std::bit_cast<uint32_t>(x.v)}; }
GRADUS_DEVICE inline Bits bits(int x) { return {uint32_t(x)}; }
GRADUS_DEVICE inline Vec from_bits(Bits x) { return Vec(std::bit_cast<float>(x.v)); }
GRADUS_DEVICE inline Vec to_float(Bits x) { return Vec(float(int32_t(x.v))); }
GRADUS_DEVICE inline Bits operator+(Bits a, Bits b) { return {a.v + b.v}; }
GRADUS_DEVICE inline Bits operator-(Bits a, Bits b) { return {a.v - b.v}; }
GRADUS_DEVICE inline Bits operator&(Bits a, Bits b) { return {a.v & b.v}; }
GRADUS_DEVICE inline Bits operator^(Bits a, Bits b) { return {a.v ^ b.v}; }
GRADUS_DEVICE inline Mask operator==(Bits a, Bits b) { return a.v == b.v; }
template <int n>
GRADUS_DEVICE inline Bits shift_left(Bits x) {
  return {x.v << n};
}
template <int n>
GRADUS_DEVICE inline Bits shift_right(Bits x) {
  return {uint32_t(int32_t(x.v) >> n)};
}
GRADUS_DEVICE inline Vec select(Mask m, Vec a, Vec b) { return m ? a : b; }

#include "tensor/kernels/normal.h"

}  // namespace one_lane

}  // namespace gradus
