// exp, log, tanh, erf, sin ... for packs of floats. Included inside a backend's namespace, after its packs
// and normal.h.
//
// The arguments are reduced as in Muller, "Elementary Functions" (3rd ed. 2016), chapter 11 (Cody and Waite's
// way), to an interval where a polynomial suffices. The polynomials are minimax fits of our own (weighted
// least squares in 40 digits, reweighted until the errors were level), highest power last; the errors below
// are of the whole function, the largest that tests/vecmath_test.cpp finds against double precision.
// Infinities, NaN and zeros give what C's functions do; so do denormals, unless they are flushed.

// polynomial() of normal.h with coefficients that are looked up.
template <int count>
inline Vec polynomial_at(const float (*c)[32], Bits piece, Vec x) {
  Vec sum = lookup(c[count - 1], piece);
  for (int i = count - 2; i >= 0; --i) sum = fma(sum, x, lookup(c[i], piece));
  return sum;
}

// The magnitude of x with the sign of y.
inline Vec copy_sign(Vec x, Vec y) {
  Bits sign = bits(int(0x80000000u));
  return from_bits((bits(x) & bits(0x7fffffff)) | (bits(y) & sign));
}

// x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, so that n times the first is exact.
struct ExpParts {
  Vec n, r;
  // (e^r - 1 - r) / r^2
  Vec curve() const {
    constexpr float q[] = {0.49999997f, 0.1666654f, 0.04166721f, 0.008366847f, 0.0013882444f};
    return polynomial(q, r);
  }
  // e^r - 1
  Vec above() const { return fma(r * r, curve(), r); }
};

// For |x| < 2^21: adding 1.5 2^23 leaves a whole number in the last places.
inline ExpParts split_exp(Vec x) {
  constexpr double round_up = 0x1.8p23;
  Vec n = fma(x, Vec(1.4426950408889634), Vec(round_up)) - Vec(round_up);
  return {n, fnma(n, Vec(-2.1219444170128554e-4), fnma(n, Vec(0.693359375), x))};
}

// The same for x + low; r is what rounding makes of major + minor.
struct ExactExpParts : ExpParts {
  Vec major, minor;
};

inline ExactExpParts split_exp(Vec x, Vec low) {
  Vec n = split_exp(x).n;
  Vec major = fnma(n, Vec(0.693359375), x), minor = fnma(n, Vec(-2.1219444170128554e-4), low);
  return {{n, major + minor}, major, minor};
}

// Within 1.1 ULP.
inline Vec exp(Vec x) {
  // Beyond these the result is 0 or infinity anyway. A NaN is the second operand, which passes.
  ExpParts e = split_exp(max_or_second(Vec(-105.0), min_or_second(Vec(89.0), x)));
  return scale(Vec(1) + e.above(), e.n);
}

// e^x - 1, within 1.6 ULP.
inline Vec expm1(Vec x) {
  Vec inside = max_or_second(Vec(-30.0), min_or_second(Vec(89.0), x));
  ExpParts e = split_exp(inside);
  Vec half = scale(Vec(0.5), e.n);  // half of 2^n: 2^128 itself would not fit
  Vec y = fma(half, e.above(), half - Vec(0.5)) * Vec(2);
  return select(x == Vec(0), x, y);  // keeps -0
}

[[gnu::noinline]] inline Vec log_of_any(Vec x) {
  constexpr double inf = __builtin_inf();
  Mask tiny = x < Vec(0x1p-126);  // denormals: raised first
  Vec result = log_of_normal(select(tiny, x * Vec(0x1p24), x), select(tiny, Vec(24), Vec(0)));
  result = select(x == Vec(inf), x, result);
  result = select(x == Vec(0), Vec(-inf), result);
  return select(x >= Vec(0), result, Vec(__builtin_nan("")));  // negative or NaN
}

// Within 1 ULP.
inline Vec log(Vec x) {
  // Whether one is not a normal positive number: below the smallest wraps round to large.
  if (any(at_most(bits(0x7f000000), bits(x) - bits(0x00800000)))) [[unlikely]]
    return log_of_any(x);
  return log_of_normal(x, Vec(0));
}

// log(1 + x), within 2 ULP: log of the rounded sum, and to first order what the rounding lost.
inline Vec log1p(Vec x) {
  Vec sum = Vec(1) + x;
  Vec lost = select(abs(x) < Vec(1), x - (sum - Vec(1)), Vec(1) - (sum - x));
  Vec y = log(sum) + lost / sum;
  y = select(sum == Vec(1), x, y);
  return select(x == Vec(-1), Vec(-__builtin_inf()), select(x == Vec(__builtin_inf()), x, y));
}

// A number as the sum of two.
struct Pair {
  Vec high, low;
};

// x / (sum + low), the quotient's error in `low`;
inline Pair divide(Vec x, Vec sum, Vec low) {
  Vec inverse = about_inverse(sum), y = x * inverse;
  return {y, fnma(y, low, fnma(y, sum, x)) * inverse};
}

// By pieces where coefficients can be looked up; else u / (u + 2) for u = e^2|x| - 1, which is made without
// cancellation. Within 1.8 ULP.
inline Vec tanh(Vec x) {
  Vec size = min_or_second(Vec(10), abs(x));  // from 9.02 on the result is 1
  if constexpr (has_lookup) {
    Bits piece = shift_right<21>(bits(max_or_second(Vec(0x6p-7), size)));
    Vec d = size - lookup(tanh_pieces[0], piece);
    return copy_sign(polynomial_at<7>(tanh_pieces + 1, piece, d), x);
  }
  ExpParts e = split_exp(size + size);
  Vec power = power_of_two(e.n), u = fma(power, e.above(), power - Vec(1)), sum = u + Vec(2);
  Pair y = divide(u, sum, min_or_second(u, Vec(2)) - (sum - max_or_second(u, Vec(2))));
  return copy_sign(y.high + y.low, x);
}

// -|x|, or `limit` where that is larger; NaN stays.
inline Vec below(Vec x, double limit) {
  return max_or_second(Vec(limit), from_bits(bits(x) | bits(int(0x80000000u))));
}

// x times a function that rises from 0 to 1 and has 1 - f(-x) = f(x), given m f(m) for m = -|x|.
inline Vec gate(Vec x, Vec product) {
  Vec y = max_or_second(Vec(0), x) + product;
  return from_bits(bits(y) | (bits(x) & bits(int(0x80000000u))));  // zeros too have the sign of x
}

// Within 2.2 ULP.
inline Vec sigmoid(Vec x) {
  ExpParts minus = split_exp(below(x, -110));
  Vec power = scale(Vec(1) + minus.above(), minus.n);
  return select(x < Vec(0), power, Vec(1)) / (Vec(1) + power);
}

// x sigmoid(x), within 2.3 ULP.
inline Vec silu(Vec x) {
  Vec m = below(x, -110);
  ExpParts e = split_exp(m);
  Vec above = e.above();
  return gate(x, scale(fma(m, above, m), e.n) / (Vec(1) + scale(Vec(1) + above, e.n)));
}

// x sigmoid(2 w), w = sqrt(2 / pi) (x + 0.044715 x^3), within 2 ULP. An error in w counts w times where the result is
// small, so that w is a sum of two floats.
inline Vec gelu_tanh(Vec x) {
  constexpr double linear = 1.5957691216057308, cubic = linear * 0.044715;
  Vec c(linear), d(cubic), c_low(linear - double(float(linear))), d_low(cubic - double(float(cubic)));
  Vec m = below(x, -12), square = m * m, product = square * d;
  // What the two products lack, negative.
  Vec lack = fma(fnma(m, m, square), d, fnma(square, d, product));
  Vec sum = c + product, back = sum - c;  // Knuth's exact sum
  Vec sum_low = (c - (sum - back)) + (product - back) + (fma(square, d_low, c_low) - lack);
  Vec z = m * sum;
  ExpParts e = split_exp(z, fma(m, sum_low, fma(m, sum, Vec(0) - z)));
  Vec above = e.above(), power = scale(Vec(1) + above, e.n), divisor = Vec(1) + power;
  Pair y = divide(scale(fma(m, above, m), e.n), divisor, power - (divisor - Vec(1)));
  return gate(x, y.high + y.low);
}

// The normal distribution function at m in [-14.4, 0] as y 2^n: e^(-m^2 / 2) times Mills' ratio, which is v times a
// polynomial in v = 1 / (1 - 0.3 m). e^(-m^2 / 2) itself goes to `density`.
struct NormalTail {
  Pair y;
  Vec n, density;
};

inline NormalTail normal_tail(Vec m) {
  constexpr float g[] = {0.375058591f,   0.388323873f,  0.226162225f,   0.00299866195f, -0.0881017223f,
                         -0.0189192612f, 0.0431888439f, 0.00773944287f, -0.0213918593f};
  constexpr double first_term = 0.24394998;
  Vec square = m * m;
  ExactExpParts e = split_exp(Vec(-0.5) * square, Vec(0.5) * fnma(m, m, square));
  Vec sum = fnma(Vec(0.3), m, Vec(1)), lost = fnma(Vec(0.3), m, Vec(1) - sum);
  Vec v = about_inverse(sum), excess = v * fma(v, lost, fma(v, sum, Vec(-1)));  // v lies above 1 / (1 - 0.3 m)
  Vec w = (v - Vec(0.5625)) - excess, slope = polynomial(g, w);
  Vec factor = fma(w, slope, Vec(first_term)), factor_low = fma(w, slope, Vec(first_term) - factor);
  Vec ratio = v * factor;
  Vec ratio_excess = fma(excess, factor, fnma(v, factor_low, fnma(v, factor, ratio)));
  Vec tail = e.r * e.r * e.curve(), above = e.r + tail, high = fma(ratio, above, ratio);
  Vec above_low = (e.major - above) + (e.minor + tail);
  Vec low = fma(ratio, above_low, fma(ratio, above, ratio - high)) - fma(ratio_excess, above, ratio_excess);
  return {{high, low}, e.n, scale(Vec(1) + above, e.n)};
}

// x Phi(x), within 2 ULP.
inline Vec gelu(Vec x) {
  Vec m = below(x, -14.4);
  if constexpr (has_lookup) {  // Phi(m) = 2^(n + f)
    constexpr float q[] = {0.693147242f,   0.240226537f,   0.0555027388f,
                           0.00961790886f, 0.00134180172f, 0.000154799971f};  // (2^f - 1) / f
    constexpr double round_up = 0x1.8p23;
    Bits piece = bits(fma(m, Vec(-32.0 / 15), Vec(round_up)));
    Vec d = m - lookup(normal_pieces[0], piece), value = lookup(normal_pieces[1], piece);
    Vec slope = lookup(normal_pieces[2], piece), n = fma(slope, d, value) + Vec(round_up) - Vec(round_up);
    Vec f = fma(d * d, polynomial_at<4>(normal_pieces + 3, piece, d), fma(slope, d, value - n));
    return gate(x, scale(fma(m * f, polynomial(q, f), m), n));
  }
  NormalTail tail = normal_tail(m);
  return gate(x, scale(fma(m, tail.y.high, m * tail.y.low), tail.n));
}

// The derivative of x Phi(x): Phi(x) + x e^(-x^2 / 2) / sqrt(2 pi), absolutely within 2^-22.
inline Vec gelu_slope(Vec x) {
  if constexpr (has_lookup) {
    constexpr double round_up = 0x1.8p23, step = 7.0 / 32;
    Vec size = min_or_second(Vec(6.75), abs(x)), shifted = fma(size, Vec(1 / step), Vec(round_up));
    Vec d = fnma(shifted - Vec(round_up), Vec(step), size);
    return copy_sign(polynomial_at<6>(slope_pieces, bits(shifted), d), x) + Vec(0.5);
  }
  Vec m = below(x, -14.4);
  NormalTail tail = normal_tail(m);
  Vec y = scale(tail.y.high, tail.n);
  return fma(copy_sign(m, x), tail.density * Vec(0.3989422804014327), select(x < Vec(0), y, Vec(1) - y));
}

// Within 1.5 ULP.
inline Vec erf(Vec x) {
  if constexpr (has_lookup) {
    Vec size = min_or_second(Vec(3.99), abs(x));  // from 3.92 on the result is 1
    Bits piece = shift_right<21>(bits(max_or_second(Vec(0x1p-6), size)));
    Vec d = size - lookup(erf_pieces[0], piece), slope = polynomial_at<6>(erf_pieces + 2, piece, d);
    return copy_sign(fma(slope, d, select(size < Vec(0x5p-8), size, lookup(erf_pieces[1], piece))), x);
  }
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
  Vec n = round(x * Vec(0.6366197723675814));
  // pi / 2 in three parts, each fused into the remainder with a single rounding
  Vec r = fnma(n, Vec(1.5707963705062866), x);
  r = fnma(n, Vec(-4.371138828673793e-08), r);
  r = fnma(n, Vec(-1.7151245100058819e-15), r);
  SinCos y = sincos_near_zero(r);
  Bits quadrant = to_int(n) + bits(shift);
  Vec size = select((quadrant & bits(1)) == bits(0), y.sin, y.cos);
  return from_bits(bits(size) ^ shift_left<30>(quadrant & bits(2)));
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
