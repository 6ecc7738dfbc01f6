// Four floats in a NEON register. Included inside the backend's namespace; vec_avx2.h offers the same names.

struct Bits {  // the same register as four int32_t
  int32x4_t v;
};

struct Mask {  // all bits of a lane set or none
  uint32x4_t v;
};

struct Vec {
  static constexpr int lanes = 4;
  float32x4_t v;

  Vec() = default;
  Vec(float32x4_t raw) : v(raw) {}
  explicit Vec(double x) : v(vdupq_n_f32(float(x))) {}
};

inline uint32x4_t first_lanes(int64_t n) {
  constexpr int32_t places[] = {0, 1, 2, 3};
  return vcltq_s32(vld1q_s32(places), vdupq_n_s32(int(n)));
}

inline Vec load(const float* p) { return vld1q_f32(p); }
inline void store(float* p, Vec x) { vst1q_f32(p, x.v); }
// To p, past the caches where a machine can.
inline void stream(float* p, Vec x) { vst1q_f32(p, x.v); }
inline void stream_end() {}
// The first n lanes, 0 <= n <= lanes: the others load 0 and are not stored; memory beyond n is not touched. NEON
// has no masks, so the lanes go one by one.
inline Vec load(const float* p, int64_t n) {
  if (n == 4) return load(p);
  float32x4_t x = vdupq_n_f32(0);
  if (n > 0) x = vld1q_lane_f32(p, x, 0);
  if (n > 1) x = vld1q_lane_f32(p + 1, x, 1);
  if (n > 2) x = vld1q_lane_f32(p + 2, x, 2);
  return x;
}
inline void store(float* p, Vec x, int64_t n) {
  if (n == 4) return store(p, x);
  if (n > 0) vst1q_lane_f32(p, x.v, 0);
  if (n > 1) vst1q_lane_f32(p + 1, x.v, 1);
  if (n > 2) vst1q_lane_f32(p + 2, x.v, 2);
}
// x in the first n lanes, y in the others.
inline Vec first(int64_t n, Vec x, Vec y) { return vbslq_f32(first_lanes(n), x.v, y.v); }

// The first lane.
inline float lane(Vec x) { return vgetq_lane_f32(x.v, 0); }

inline Vec operator+(Vec a, Vec b) { return vaddq_f32(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return vsubq_f32(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return vmulq_f32(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return vdivq_f32(a.v, b.v); }
// 1 / x to 14 bits at least, for x in [1, 2^30].
inline Vec about_inverse(Vec x) { return vdivq_f32(vdupq_n_f32(1), x.v); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c.v, a.v, b.v); }   // a b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return vfmsq_f32(c.v, a.v, b.v); }  // c - a b
inline Vec sqrt(Vec x) { return vsqrtq_f32(x.v); }
inline Vec abs(Vec x) { return vabsq_f32(x.v); }
inline Vec floor(Vec x) { return vrndmq_f32(x.v); }
inline Vec ceil(Vec x) { return vrndpq_f32(x.v); }
inline Vec round(Vec x) { return vrndnq_f32(x.v); }
// The larger (smaller); b where either is NaN, which NEON's own maximum and minimum would return.
inline Vec max_or_second(Vec a, Vec b) { return vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v); }
inline Vec min_or_second(Vec a, Vec b) { return vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v); }

// The larger (smaller), or NaN where either is.
inline Vec maximum(Vec a, Vec b) { return vmaxq_f32(a.v, b.v); }
inline Vec minimum(Vec a, Vec b) { return vminq_f32(a.v, b.v); }

inline Mask operator==(Vec a, Vec b) { return {vceqq_f32(a.v, b.v)}; }
inline Mask operator!=(Vec a, Vec b) { return {vmvnq_u32(vceqq_f32(a.v, b.v))}; }
inline Mask operator<(Vec a, Vec b) { return {vcltq_f32(a.v, b.v)}; }
inline Mask operator<=(Vec a, Vec b) { return {vcleq_f32(a.v, b.v)}; }
inline Mask operator>(Vec a, Vec b) { return {vcgtq_f32(a.v, b.v)}; }
inline Mask operator>=(Vec a, Vec b) { return {vcgeq_f32(a.v, b.v)}; }
inline bool any(Mask m) { return vmaxvq_u32(m.v) != 0; }
inline Vec select(Mask m, Vec a, Vec b) { return vbslq_f32(m.v, a.v, b.v); }
// One byte, 0 or 1, for each of the first n lanes.
inline void store(bool* p, Mask m, int64_t n) {
  uint16x4_t words = vmovn_u32(vshrq_n_u32(m.v, 31));
  uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
  uint64_t packed = vget_lane_u64(vreinterpret_u64_u8(bytes), 0);
  __builtin_memcpy(p, &packed, size_t(n));
}
inline Mask load(const bool* p, int64_t n) {
  uint64_t packed = 0;
  __builtin_memcpy(&packed, p, size_t(n));
  uint32x4_t words = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(packed))));
  return {vtstq_u32(words, words)};
}

inline uint32x4_t unsigned_lanes(Bits x) { return vreinterpretq_u32_s32(x.v); }
inline Bits signed_lanes(uint32x4_t x) { return {vreinterpretq_s32_u32(x)}; }

inline Bits bits(Vec x) { return {vreinterpretq_s32_f32(x.v)}; }
inline Bits bits(int x) { return {vdupq_n_s32(x)}; }
inline Vec from_bits(Bits x) { return vreinterpretq_f32_s32(x.v); }
inline Bits to_int(Vec x) { return {vcvtnq_s32_f32(x.v)}; }  // rounds to nearest
inline Vec to_float(Bits x) { return vcvtq_f32_s32(x.v); }
// The first n lanes as int64_t.
inline void store(int64_t* p, Bits x, int64_t n) {
  int64_t wide[4];
  int64_t* to = n < 4 ? wide : p;
  vst1q_s64(to, vmovl_s32(vget_low_s32(x.v)));
  vst1q_s64(to + 2, vmovl_high_s32(x.v));
  if (n < 4)
    for (int64_t i = 0; i < n; ++i) p[i] = wide[i];
}
inline Bits operator+(Bits a, Bits b) { return {vaddq_s32(a.v, b.v)}; }
inline Bits operator-(Bits a, Bits b) { return {vsubq_s32(a.v, b.v)}; }
inline Bits operator&(Bits a, Bits b) { return {vandq_s32(a.v, b.v)}; }
inline Bits operator|(Bits a, Bits b) { return {vorrq_s32(a.v, b.v)}; }
inline Bits operator^(Bits a, Bits b) { return {veorq_s32(a.v, b.v)}; }
inline Mask operator==(Bits a, Bits b) { return {vceqq_s32(a.v, b.v)}; }
inline Mask at_most(Bits a, Bits b) { return {vcleq_u32(unsigned_lanes(a), unsigned_lanes(b))}; }  // unsigned
template <int n>
inline Bits shift_left(Bits x) {
  return {vshlq_n_s32(x.v, n)};
}
template <int n>
inline Bits shift_right(Bits x) {  // keeps the sign
  return {vshrq_n_s32(x.v, n)};
}

// The upper and lower halves of the unsigned products of each lane with m.
struct Halves {
  Bits high, low;
};
inline Halves multiply(Bits x, uint32_t m) {
  uint32x4_t factor = vdupq_n_u32(m);
  uint32x4_t below = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(unsigned_lanes(x)), vget_low_u32(factor)));
  uint32x4_t above = vreinterpretq_u32_u64(vmull_high_u32(unsigned_lanes(x), factor));
  return {signed_lanes(vuzp2q_u32(below, above)), signed_lanes(vuzp1q_u32(below, above))};
}
// a[0] b[0] c[0] d[0] a[1] b[1] ... to `out`.
inline void interleave(Bits a, Bits b, Bits c, Bits d, uint32_t* out) {
  const uint32x4x4_t all = {{unsigned_lanes(a), unsigned_lanes(b), unsigned_lanes(c), unsigned_lanes(d)}};
  vst4q_u32(out, all);
}
inline Bits load_bits(const uint32_t* p) { return signed_lanes(vld1q_u32(p)); }

// vec_avx512.h can look up coefficients in a register.
constexpr bool has_lookup = false;
inline Vec lookup(const float (&)[32], Bits) { return Vec(0); }

// x 2^n for whole n in [-252, 254], rounded once: the first of the two factors leaves a normal number.
inline Vec scale(Vec x, Vec n) {
  Bits whole = to_int(n), half = shift_right<1>(whole);
  return x * from_bits(shift_left<23>(half + bits(127))) * from_bits(shift_left<23>(whole - half + bits(127)));
}
// 2^n for whole n in [-126, 127].
inline Vec power_of_two(Vec n) { return from_bits(shift_left<23>(to_int(n) + bits(127))); }

// All lanes joined by a function of two packs.
template <class Join>
inline float horizontal(Vec x, const Join& join) {
  x = join(x, vextq_f32(x.v, x.v, 2));
  x = join(x, vrev64q_f32(x.v));
  return vgetq_lane_f32(x.v, 0);
}
