// The 16-bit floating-point types: __half and __nv_bfloat16, their pairs, and CUDA's functions on them.
#pragma once

#include <bit>
#include <cmath>

#include "tensor/kernels/cuda/emu/types.h"

namespace emu {

struct Bfloat16Format {  // the upper half of a float
  static uint16_t from_float(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return uint16_t((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
  }
  static float to_float(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

struct HalfFormat {  // IEEE binary16: 5 bits of exponent, 10 of fraction
  static uint16_t from_float(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) return 0x7fff;
    if (magnitude >= 0x477ff000u) return sign | 0x7c00;  // from 65520 on: infinity
    if (magnitude < 0x38800000u)                         // below 2^-14: multiples of 2^-24
      return sign | uint16_t(std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f));
    return sign | uint16_t((magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13);
  }
  static float to_float(uint16_t bits) {
    const uint32_t sign = uint32_t(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u, fraction = bits & 0x3ffu;
    if (exponent == 0) return std::copysign(float(fraction) * 0x1p-24f, std::bit_cast<float>(sign | 0x3f800000u));
    const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
  }
};

// Arithmetic is float's, rounded; float has enough bits for that to be the correctly rounded result.
template <class Format>
struct Float16 {
  uint16_t bits;

  Float16() = default;
  Float16(float value) : bits(Format::from_float(value)) {}
  operator float() const { return Format::to_float(bits); }

  friend Float16 operator+(Float16 a, Float16 b) { return float(a) + float(b); }
  friend Float16 operator-(Float16 a, Float16 b) { return float(a) - float(b); }
  friend Float16 operator*(Float16 a, Float16 b) { return float(a) * float(b); }
  friend Float16 operator/(Float16 a, Float16 b) { return float(a) / float(b); }
  friend Float16 operator-(Float16 a) { return -float(a); }
  Float16& operator+=(Float16 b) { return *this = *this + b; }
  Float16& operator-=(Float16 b) { return *this = *this - b; }
  Float16& operator*=(Float16 b) { return *this = *this * b; }
  Float16& operator/=(Float16 b) { return *this = *this / b; }
  friend bool operator==(Float16 a, Float16 b) { return float(a) == float(b); }
  friend bool operator<(Float16 a, Float16 b) { return float(a) < float(b); }
  friend bool operator<=(Float16 a, Float16 b) { return float(a) <= float(b); }
  friend bool operator>(Float16 a, Float16 b) { return float(a) > float(b); }
  friend bool operator>=(Float16 a, Float16 b) { return float(a) >= float(b); }
};

template <class Format>
struct alignas(4) Float16Pair {
  Float16<Format> x, y;
};

}  // namespace emu

using __half = emu::Float16<emu::HalfFormat>;
using __half2 = emu::Float16Pair<emu::HalfFormat>;
using half = __half;
using half2 = __half2;
using __nv_bfloat16 = emu::Float16<emu::Bfloat16Format>;
using __nv_bfloat162 = emu::Float16Pair<emu::Bfloat16Format>;

inline __half __float2half(float value) { return value; }
inline __half __float2half_rn(float value) { return value; }
inline float __half2float(__half value) { return value; }
inline __half2 __floats2half2_rn(float x, float y) { return {x, y}; }
inline __half2 __float22half2_rn(float2 v) { return {v.x, v.y}; }
inline float2 __half22float2(__half2 v) { return {v.x, v.y}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline unsigned short __half_as_ushort(__half value) { return value.bits; }
inline __half __ushort_as_half(unsigned short bits) { return std::bit_cast<__half>(bits); }

inline __nv_bfloat16 __float2bfloat16(float value) { return value; }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return value; }
inline float __bfloat162float(__nv_bfloat16 value) { return value; }
inline __nv_bfloat162 __float2bfloat162_rn(float value) { return {value, value}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return {v.x, v.y}; }
inline float2 __bfloat1622float2(__nv_bfloat162 v) { return {v.x, v.y}; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 value) { return {value, value}; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 v) { return v.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 v) { return v.y; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 value) { return value.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return std::bit_cast<__nv_bfloat16>(bits); }

// Those that have one name for both types.
#define EMU_FLOAT16(result, name, parameters, expression) \
  template <class F>                                      \
  inline result name parameters {                         \
    return expression;                                    \
  }
EMU_FLOAT16(emu::Float16<F>, __hadd, (emu::Float16<F> a, emu::Float16<F> b), a + b)
EMU_FLOAT16(emu::Float16<F>, __hsub, (emu::Float16<F> a, emu::Float16<F> b), a - b)
EMU_FLOAT16(emu::Float16<F>, __hmul, (emu::Float16<F> a, emu::Float16<F> b), a* b)
EMU_FLOAT16(emu::Float16<F>, __hneg, (emu::Float16<F> a), -a)
EMU_FLOAT16(emu::Float16<F>, __hfma, (emu::Float16<F> a, emu::Float16<F> b, emu::Float16<F> c),
            float(double(a) * double(b) + double(c)))
EMU_FLOAT16(emu::Float16<F>, __hmax, (emu::Float16<F> a, emu::Float16<F> b), std::fmax(float(a), float(b)))
EMU_FLOAT16(emu::Float16<F>, __hmin, (emu::Float16<F> a, emu::Float16<F> b), std::fmin(float(a), float(b)))
EMU_FLOAT16(bool, __hisnan, (emu::Float16<F> a), std::isnan(float(a)))
EMU_FLOAT16(emu::Float16Pair<F>, __hadd2, (emu::Float16Pair<F> a, emu::Float16Pair<F> b),
            (emu::Float16Pair<F>{a.x + b.x, a.y + b.y}))
EMU_FLOAT16(emu::Float16Pair<F>, __hmul2, (emu::Float16Pair<F> a, emu::Float16Pair<F> b),
            (emu::Float16Pair<F>{a.x * b.x, a.y* b.y}))
EMU_FLOAT16(float, __low2float, (emu::Float16Pair<F> a), a.x)
EMU_FLOAT16(float, __high2float, (emu::Float16Pair<F> a), a.y)
#undef EMU_FLOAT16
