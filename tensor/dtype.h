// Element types.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gradus {

enum class DType : uint8_t { float32, float64, int64, boolean, uint8, bfloat16 };
inline constexpr int dtype_count = 6;

inline constexpr DType float32 = DType::float32;
inline constexpr DType float64 = DType::float64;
inline constexpr DType int64 = DType::int64;
inline constexpr DType boolean = DType::boolean;
inline constexpr DType uint8 = DType::uint8;
inline constexpr DType bfloat16 = DType::bfloat16;  // storage: multiplied and added, else converted

// The upper half of a float32: 8 bits of exponent, 7 of mantissa.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  // Rounds to nearest, ties to even; NaN stays NaN.
  explicit BFloat16(float x) {
    uint32_t u = std::bit_cast<uint32_t>(x);
    bits = (u & 0x7fffffffu) > 0x7f800000u ? uint16_t((u >> 16) | 0x40u)
                                           : uint16_t((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

// IEEE 754 binary16 to float32, exactly. (float16 is read from files and converted, never computed with.)
float half_to_float(uint16_t bits);

constexpr size_t size_of(DType t) {
  constexpr size_t sizes[] = {4, 8, 8, 1, 1, 2};
  return sizes[int(t)];
}
constexpr bool is_floating(DType t) { return t == float32 || t == float64 || t == bfloat16; }

// "float32", "int64", "bool" ...: PyTorch's names.
std::string to_string(DType t);
// The inverse; throws Error listing the names it knows.
DType dtype_from_string(std::string_view name);

// The type that arithmetic between the two gives: bool < uint8 < int64 < bfloat16 < float32 < float64.
DType promote(DType a, DType b);

template <class T>
inline constexpr DType dtype_of = [] { static_assert(sizeof(T) == 0, "not an element type"); }();
template <>
inline constexpr DType dtype_of<float> = float32;
template <>
inline constexpr DType dtype_of<double> = float64;
template <>
inline constexpr DType dtype_of<int64_t> = int64;
template <>
inline constexpr DType dtype_of<bool> = boolean;
template <>
inline constexpr DType dtype_of<uint8_t> = uint8;
template <>
inline constexpr DType dtype_of<BFloat16> = bfloat16;

}  // namespace gradus
