// exp, log, tanh, erf, sin ... for packs of floats. Included inside a backend's namespace, after its packs.
//
// The arguments are reduced as in Muller, "Elementary Functions" (3rd ed. 2016), chapter 11 (Cody and Waite's
// way), to an interval where a polynomial suffices. The polynomials are minimax fits of our own (weighted
// least squares in 40 digits, reweighted until the errors were level), highest power last; the errors below
// are of the whole function, the largest that tests/vecmath_test.cpp finds against double precision.
// Infinities, NaN and zeros give what C's functions do; so do denormals, unless they are flushed.

// c[0] + c[1] x + ... by Horner's rule.
template <int count>
inline Vec polynomial(const float (&c)[count], Vec x) {
  Vec sum{double(c[count - 1])};
  for (int i = count - 2; i >= 0; --i) sum = fma(sum, x, Vec(double(c[i])));
  return sum;
}

// The magnitude of x with the sign of y.
inline Vec copy_sign(Vec x, Vec y) {
  Bits sign = bits(int(0x80000000u));
  return from_bits((bits(x) & bits(0x7fffffff)) | (bits(y) & sign));
}

// x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, so that n times the first is exact.
struct ExpParts {
  Vec n, r, tail;  // tail = e^r - 1 - r
};

inline ExpParts split_exp(Vec x) {
  constexpr float q[] = {0.49999997f, 0.1666654f, 0.04166721f, 0.008366847f, 0.0013882444f};
  Vec n = round(x * Vec(1.4426950408889634));
  Vec r = fnma(n, Vec(0.693359375), x);
  r = fnma(n, Vec(-2.1219444170128554e-4), r);
  return {n, r, r * r * polynomial(q, r)};
}

// Within 1.1 ULP.
inline Vec exp(Vec x) {
  // Beyond these the result is 0 or infinity anyway. A NaN is the second operand, which passes.
  Vec inside = max_or_second(Vec(-105.0), min_or_second(Vec(89.0), x));
  ExpParts e = split_exp(inside);
  return scale(Vec(1) + (e.r + e.tail), e.n);
}

// e^x - 1, within 1.5 ULP.
inline Vec expm1(Vec x) {
  Vec inside = max_or_second(Vec(-30.0), min_or_second(Vec(89.0), x));
  ExpParts e = split_exp(inside);
  Vec half = scale(Vec(0.5), e.n);  // half of 2^n: 2^128 itself would not fit
  Vec y = (fma(half, e.tail, fma(half, e.r, half - Vec(0.5)))) * Vec(2);
  return select(x == Vec(0), x, y);  // keeps -0
}

// log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)], plus n ln 2.
inline Vec log_of_parts(Vec f, Vec n) {
  constexpr float p[] = {0.3333333f,  -0.2500088f,  0.20001318f, -0.16621184f,
                         0.14197825f, -0.13178624f, 0.12800194f, -0.07633188f};
  Vec square = f * f;
  Vec tail = fma(square * f, polynomial(p, f), n * Vec(-2.1219444170128554e-4));
  return fma(n, Vec(0.693359375), f + fma(Vec(-0.5), square, tail));
}

// Within 1 ULP.
inline Vec log(Vec x) {
  Mask tiny = x < Vec(0x1p-126);  // denormals: raised first
  Vec y = select(tiny, x * Vec(0x1p24), x);
  Bits above = bits(y) - bits(0x3f3504f3);  // from sqrt(1/2), so that the mantissa straddles 1
  Bits e = shift_right<23>(above);
  Vec m = from_bits(bits(y) - shift_left<23>(e));
  Vec n = to_float(e) - select(tiny, Vec(24), Vec(0));
  Vec result = log_of_parts(m - Vec(1), n);
  constexpr double inf = __builtin_inf();
  result = select(x == Vec(inf), x, result);
  result = select(x == Vec(0), Vec(-inf), result);
  return select(x >= Vec(0), result, Vec(__builtin_nan("")));  // negative or NaN
}

// log(1 + x), within 2 ULP: log of the rounded sum, and to first order what the rounding lost.
inline Vec log1p(Vec x) {
  Vec sum = Vec(1) + x;
  Vec lost = select(abs(x) < Vec(1), x - (sum - Vec(1)), Vec(1) - (sum - x));
  Vec y = log(sum) + lost / sum;
  y = select(sum == Vec(1), x, y);
  return select(x == Vec(-1), Vec(-__builtin_inf()), select(x == Vec(__builtin_inf()), x, y));
}

// Within 1.5 ULP.
inline Vec tanh(Vec x) {
  constexpr float p[] = {-0.33333278f, 0.13331331f, -0.053730033f, 0.02060625f, -0.005667049f};
  Vec size = abs(x), square = x * x;
  Vec small = fma(x * square, polynomial(p, square), x);
  // 1 - 2 / (e^2|x| + 1), which is 1 from |x| = 9.02 on
  Vec large = Vec(1) - Vec(2) / (exp(size + size) + Vec(1));
  return copy_sign(select(size < Vec(0.625), small, large), x);
}

// 1 / (1 + e^-x), within 2.5 ULP. The exponential is of a negative number, so that tiny results keep their precision.
inline Vec sigmoid(Vec x) {
  Vec e = exp(Vec(0) - abs(x));
  return select(x >= Vec(0), Vec(1), e) / (Vec(1) + e);
}

// Within 1.5 ULP.
inline Vec erf(Vec x) {
  constexpr float p[] = {0.12837917f,   -0.37612632f,   0.112836875f,  -0.026858948f,
                         0.0051999185f, -0.0008130121f, 8.3171595e-05f};
  // log(1 - erf x), which is smooth, for x in [0.92, 4]
  constexpr float q[] = {0.00017469055f, -1.1295149f,    -0.63334686f,  -0.10828017f,
                         0.02511948f,    -0.0041710846f, 0.0004344673f, -2.1095479e-05f};
  Vec size = abs(x), square = x * x;
  Vec small = fma(x, polynomial(p, square), x);
  Vec large = Vec(1) - exp(polynomial(q, min_or_second(Vec(4), size)));
  return select(size < Vec(0.92), small, copy_sign(large, x));
}

// Sines and cosines beyond this are left to the C library, lane by lane: the reduction below would lose digits.
constexpr double trigonometric_limit = 32768;

inline Vec each_lane(Vec x, float (*f)(float)) {
  float lanes[Vec::lanes];
  store(lanes, x);
  for (float& lane : lanes) lane = f(lane);
  return load(lanes);
}

// sin(x + shift pi / 2) for |x| within the limit: the quadrant chooses between the two polynomials and the sign.
inline Vec sin_shifted(Vec x, int shift) {
  constexpr float s[] = {-0.16666667f, 0.008333329f, -0.00019839233f, 2.7173674e-06f};
  constexpr float c[] = {0.041666646f, -0.0013887306f, 2.4431192e-05f};
  Vec n = round(x * Vec(0.6366197723675814));
  // pi / 2 in three parts, each fused into the remainder with a single rounding
  Vec r = fnma(n, Vec(1.5707963705062866), x);
  r = fnma(n, Vec(-4.371138828673793e-08), r);
  r = fnma(n, Vec(-1.7151245100058819e-15), r);
  Vec square = r * r;
  Vec sine = fma(r * square, polynomial(s, square), r);
  Vec cosine = fma(square, fma(square, polynomial(c, square), Vec(-0.5)), Vec(1));
  Bits quadrant = to_int(n) + bits(shift);
  Vec y = select((quadrant & bits(1)) == bits(0), sine, cosine);
  return from_bits(bits(y) ^ shift_left<30>(quadrant & bits(2)));
}

// Within 1.5 ULP.
inline Vec sin(Vec x) {
  if (any(abs(x) > Vec(trigonometric_limit))) [[unlikely]]
    return each_lane(x, ::sinf);
  return select(x == Vec(0), x, sin_shifted(x, 0));  // keeps -0
}

// Within 1.5 ULP.
inline Vec cos(Vec x) {
  if (any(abs(x) > Vec(trigonometric_limit))) [[unlikely]]
    return each_lane(x, ::cosf);
  return sin_shifted(x, 1);
}

// The C library's, lane by lane: x^y must be as exact where it is large as where it is near 1.
inline Vec pow(Vec x, Vec y) {
  float base[Vec::lanes], exponent[Vec::lanes];
  store(base, x);
  store(exponent, y);
  for (int i = 0; i < Vec::lanes; ++i) base[i] = __builtin_powf(base[i], exponent[i]);
  return load(base);
}
