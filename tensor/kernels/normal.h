// Normal numbers in float32, written once for a pack of SIMD lanes and for the reference's pack of a single one: whole
// numbers, and + - * sqrt and fma of floats, which IEEE 754 defines to the last bit. So every instruction set draws the
// same. Included inside a backend's namespace, after its packs.

// c[0] + c[1] x + ... by Horner's rule.
template <int count>
GRADUS_DEVICE inline Vec polynomial(const float (&c)[count], Vec x) {
  Vec sum{double(c[count - 1])};
  for (int i = count - 2; i >= 0; --i) sum = fma(sum, x, Vec(double(c[i])));
  return sum;
}

// log(x 2^-shift) for normal x: x = 2^n (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)].
GRADUS_DEVICE inline Vec log_of_normal(Vec x, Vec shift) {
  constexpr float p[] = {0.3333333f,  -0.2500088f,  0.20001318f, -0.16621184f,
                         0.14197825f, -0.13178624f, 0.12800194f, -0.07633188f};
  Bits above = bits(x) - bits(0x3f3504f3);  // from sqrt(1/2), so that the mantissa straddles 1
  Bits e = shift_right<23>(above);
  Vec f = from_bits(bits(x) - shift_left<23>(e)) - Vec(1), n = to_float(e) - shift, square = f * f;
  Vec tail = fma(square * f, polynomial(p, f), n * Vec(-2.1219444170128554e-4));
  return fma(n, Vec(0.693359375), f + fma(Vec(-0.5), square, tail));
}

struct SinCos {
  Vec sin, cos;
};

// For |x| <= pi / 4.
GRADUS_DEVICE inline SinCos sincos_near_zero(Vec x) {
  constexpr float s[] = {-0.16666667f, 0.008333329f, -0.00019839233f, 2.7173674e-06f};
  constexpr float c[] = {0.041666646f, -0.0013887306f, 2.4431192e-05f};
  Vec square = x * x;
  return {fma(x * square, polynomial(s, square), x),
          fma(square, fma(square, polynomial(c, square), Vec(-0.5)), Vec(1))};
}

struct NormalPair {
  Vec first, second;
};

// Two independent normal numbers with mean 0 and standard deviation 1 from two words (Box and Muller 1958): radius
// sqrt(-2 log u) for u = (w0 + 1/2) / 2^32, at the angle 2 pi w1 / 2^32, whose quadrant is exact. Within 1e-6 of the
// same in double, and 2^-24 / radius, as u is rounded.
GRADUS_DEVICE inline NormalPair normal_from(Bits w0, Bits w1) {
  Vec upper = to_float(shift_right<16>(w0) & bits(0xffff)), lower = to_float(w0 & bits(0xffff));
  Vec u = fma(upper, Vec(0x1p-16), fma(lower, Vec(0x1p-32), Vec(0x1p-33)));  // rounded once
  Vec radius = sqrt(Vec(-2) * log_of_normal(u, Vec(0)));
  Bits quadrant = shift_right<30>(w1 + bits(0x20000000));
  SinCos y = sincos_near_zero(to_float(w1 - shift_left<30>(quadrant)) * Vec(1.5707963267948966 / 0x1p30));
  Mask even = (quadrant & bits(1)) == bits(0);
  // The sine is negative in quadrants 2 and 3, the cosine in 1 and 2: the sign comes from bit 1.
  Bits sin_sign = shift_left<30>(quadrant & bits(2)), cos_sign = shift_left<30>((quadrant + bits(1)) & bits(2));
  return {radius * from_bits(bits(select(even, y.cos, y.sin)) ^ cos_sign),
          radius * from_bits(bits(select(even, y.sin, y.cos)) ^ sin_sign)};
}
