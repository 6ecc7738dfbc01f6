// A double as the pack of one lane that the formulas of elementwise.h need, and an int64_t where they suit
// integers. Included inside a backend's namespace.

template <class T>
inline T select(bool condition, T a, T b) {
  return condition ? a : b;
}
inline double fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
inline double abs(double x) { return __builtin_fabs(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline double floor(double x) { return __builtin_floor(x); }
inline double ceil(double x) { return __builtin_ceil(x); }
inline double round(double x) { return __builtin_nearbyint(x); }  // half to even: the default rounding mode
inline double exp(double x) { return __builtin_exp(x); }
inline double expm1(double x) { return __builtin_expm1(x); }
inline double log(double x) { return __builtin_log(x); }
inline double log1p(double x) { return __builtin_log1p(x); }
inline double tanh(double x) { return __builtin_tanh(x); }
inline double sigmoid(double x) { return 1 / (1 + __builtin_exp(-x)); }
// Below these limits the results are zero, and infinity times 0 would not be.
inline double silu(double x) { return x < -800 ? -0.0 : x * sigmoid(x); }
inline double gelu(double x) { return x < -40 ? -0.0 : x * 0.5 * __builtin_erfc(x * -0.7071067811865476); }
inline double gelu_tanh(double x) {
  return x < -40 ? -0.0 : x * sigmoid(x * 1.5957691216057308 * (1 + 0.044715 * x * x));
}
inline double gelu_slope(double x) {
  double limited = x < -40 ? -40 : x > 40 ? 40 : x;
  return 0.5 * __builtin_erfc(x * -0.7071067811865476) + limited * 0.3989422804014327 * exp(-0.5 * x * x);
}
inline double erf(double x) { return __builtin_erf(x); }
inline double sin(double x) { return __builtin_sin(x); }
inline double cos(double x) { return __builtin_cos(x); }
inline double pow(double x, double y) { return __builtin_pow(x, y); }

inline int64_t fma(int64_t a, int64_t b, int64_t c) { return a * b + c; }
inline int64_t abs(int64_t x) { return x < 0 ? -x : x; }
// A negative power of anything but 1 and -1 truncates to 0.
inline int64_t pow(int64_t x, int64_t y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y % 2 ? -1 : 1) : 0;
  uint64_t power = 1, square = uint64_t(x);  // unsigned, for overflow wraps round
  for (; y > 0; y /= 2, square *= square) {
    if (y % 2) power *= square;
  }
  return int64_t(power);
}
