// A float, a double or an int64_t of a CUDA thread as the pack of one lane that the formulas of elementwise.h need, and
// those formulas for them; what elements become in order to be computed with, and back. Also callable on the host.
#pragma once

#include <cmath>
#include <type_traits>

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {

template <class T>
GRADUS_DEVICE inline T select(bool condition, T a, T b) {
  return condition ? a : b;
}

GRADUS_DEVICE inline double fma(double a, double b, double c) { return ::fma(a, b, c); }
GRADUS_DEVICE inline double abs(double x) { return ::fabs(x); }
GRADUS_DEVICE inline double sqrt(double x) { return ::sqrt(x); }
GRADUS_DEVICE inline double floor(double x) { return ::floor(x); }
GRADUS_DEVICE inline double ceil(double x) { return ::ceil(x); }
GRADUS_DEVICE inline double round(double x) { return ::rint(x); }  // half to even
GRADUS_DEVICE inline double exp(double x) { return ::exp(x); }
GRADUS_DEVICE inline double expm1(double x) { return ::expm1(x); }
GRADUS_DEVICE inline double log(double x) { return ::log(x); }
GRADUS_DEVICE inline double log1p(double x) { return ::log1p(x); }
GRADUS_DEVICE inline double tanh(double x) { return ::tanh(x); }
GRADUS_DEVICE inline double erf(double x) { return ::erf(x); }
GRADUS_DEVICE inline double sin(double x) { return ::sin(x); }
GRADUS_DEVICE inline double cos(double x) { return ::cos(x); }
GRADUS_DEVICE inline double pow(double x, double y) { return ::pow(x, y); }
GRADUS_DEVICE inline double quotient(double a, double b) { return a / b; }

// In float, always, and never CUDA's faster functions of fewer digits: each is within 2 ULP by its documentation, pow
// within 4.
GRADUS_DEVICE inline float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
GRADUS_DEVICE inline float abs(float x) { return ::fabsf(x); }
GRADUS_DEVICE inline float sqrt(float x) { return ::sqrtf(x); }
GRADUS_DEVICE inline float floor(float x) { return ::floorf(x); }
GRADUS_DEVICE inline float ceil(float x) { return ::ceilf(x); }
GRADUS_DEVICE inline float round(float x) { return ::rintf(x); }
GRADUS_DEVICE inline float exp(float x) { return ::expf(x); }
GRADUS_DEVICE inline float expm1(float x) { return ::expm1f(x); }
GRADUS_DEVICE inline float log(float x) { return ::logf(x); }
GRADUS_DEVICE inline float log1p(float x) { return ::log1pf(x); }
GRADUS_DEVICE inline float tanh(float x) { return ::tanhf(x); }
GRADUS_DEVICE inline float erf(float x) { return ::erff(x); }
GRADUS_DEVICE inline float sin(float x) { return ::sinf(x); }
GRADUS_DEVICE inline float cos(float x) { return ::cosf(x); }
GRADUS_DEVICE inline float pow(float x, float y) { return ::powf(x, y); }

// a / b within 2 ULP, for b far from the limits of float: in a third of the instructions that rounding right takes.
GRADUS_DEVICE inline float quotient(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdividef(a, b);
#else
  return a / b;
#endif
}

// Of exp(-|x|), which neither overflows nor loses the digits of small results.
template <class V>
GRADUS_DEVICE inline V sigmoid(V x) {
  V power = exp(-abs(x));
  return quotient(select(x < V(0), power, V(1)), V(1) + power);
}

// Zero below a limit, where infinity times 0 would not be; so gelu and gelu_tanh.
template <class V>
GRADUS_DEVICE inline V silu(V x) {
  return select(x < V(-800), V(-0.0), x * sigmoid(x));
}

GRADUS_DEVICE inline double gelu(double x) {
  return select(x < -40, -0.0, x * 0.5 * ::erfc(x * -0.7071067811865476));
}

GRADUS_DEVICE inline double gelu_slope(double x) {
  const double limited = select(x < -40, -40.0, select(x > 40, 40.0, x));
  return 0.5 * ::erfc(x * -0.7071067811865476) + limited * 0.3989422804014327 * exp(-0.5 * limited * limited);
}

// The normal distribution function at m in [-14.4, 0], and exp(-m^2 / 2), of which vecmath.h's formula makes it: times
// Mills' ratio, which is v times a polynomial in v = 1 / (1 - 0.3 m). Two thirds of erfc's instructions.
struct NormalTail {
  float value, power;
};

GRADUS_DEVICE inline NormalTail normal_tail(float m) {
  constexpr float g[] = {0.24394998f,    0.375058591f,   0.388323873f,  0.226162225f,   0.00299866195f,
                         -0.0881017223f, -0.0189192612f, 0.0431888439f, 0.00773944287f, -0.0213918593f};
  const float square = m * m, lost = fma(m, m, -square), rounded = exp(-0.5f * square);
  const float power = fma(rounded, -0.5f * lost, rounded), v = quotient(1.0f, fma(-0.3f, m, 1.0f)), w = v - 0.5625f;
  float sum = g[9];
  SIMT_UNROLL
  for (int i = 8; i >= 0; --i) sum = fma(sum, w, g[i]);
  return {power * v * sum, power};
}

// max(x, 0) - |x| Phi(-|x|), within 8 ULP; zeros too have the sign of x.
GRADUS_DEVICE inline float gelu(float x) {
  const float m = -select(abs(x) > 14.4f, 14.4f, abs(x));
  return ::copysignf(fma(m, normal_tail(m).value, select(x > 0, x, 0.0f)), x);
}

GRADUS_DEVICE inline float gelu_slope(float x) {
  const float m = -select(abs(x) > 14.4f, 14.4f, abs(x));
  const NormalTail tail = normal_tail(m);
  const float distribution = select(x < 0, tail.value, 1 - tail.value);
  return fma(::copysignf(m, x), tail.power * 0.3989422804014327f, distribution);
}

GRADUS_DEVICE inline int64_t fma(int64_t a, int64_t b, int64_t c) { return a * b + c; }
GRADUS_DEVICE inline int64_t abs(int64_t x) { return x < 0 ? -x : x; }
// A negative power of anything but 1 and -1 truncates to 0.
GRADUS_DEVICE inline int64_t pow(int64_t x, int64_t y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
  uint64_t power = 1, square = uint64_t(x);  // unsigned, for overflow wraps round
  for (; y > 0; y /= 2, square *= square) {
    if (y % 2) power *= square;
  }
  return int64_t(power);
}

template <class V>
GRADUS_DEVICE inline V gelu_tanh(V x);

#include "tensor/kernels/elementwise.h"

// In float what the argument loses counts as often as it is large: 2^-24 of the result for each unit of it, which is
// 14 ULP at -3, and 2 where x is positive.
template <class V>
GRADUS_DEVICE inline V gelu_tanh(V x) {
  return select(x < V(-40), V(-0.0), x * sigmoid(gelu_tanh_argument(x)));
}

// What an element is computed in, and, rounded once, the element again: to bool, whether not zero; to an integer,
// truncated, where what int64_t cannot hold becomes its nearest value, NaN 0, and uint8_t takes the lowest bits of
// that.
template <class T>
GRADUS_DEVICE inline Compute<T> widen(T x) {
  return Compute<T>(x);
}

template <class T, class From>
GRADUS_DEVICE inline T convert(From x) {
  if constexpr (std::is_same_v<T, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<T> && std::is_floating_point_v<From>) {
    return T(x >= From(0x1p63) ? INT64_MAX : x < From(-0x1p63) ? INT64_MIN : x != x ? 0 : int64_t(x));
  } else if constexpr (std::is_same_v<T, bf16>) {
    return bf16(float(x));
  } else {
    return T(x);
  }
}

}  // namespace gradus::cuda
