// Sixteen floats in an AVX-512 register. Included inside the backend's namespace; vec_avx2.h offers the same names.

struct Bits {  // the same register as sixteen int32_t
  __m512i v;
};

struct Mask {
  __mmask16 v;
};

struct Vec {
  static constexpr int lanes = 16;
  __m512 v;

  Vec() = default;
  Vec(__m512 raw) : v(raw) {}
  explicit Vec(double x) : v(_mm512_set1_ps(float(x))) {}
};

inline __mmask16 first_lanes(int64_t n) { return __mmask16((1u << n) - 1); }

inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec x) { _mm512_storeu_ps(p, x.v); }
// To p, a multiple of 64, past the caches; stream_end() before others read it.
inline void stream(float* p, Vec x) { _mm512_stream_ps(p, x.v); }
inline void stream_end() { _mm_sfence(); }
// The first n lanes, 0 <= n <= lanes: the others load 0 and are not stored; memory beyond n is not touched.
inline Vec load(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store(float* p, Vec x, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), x.v); }
// x in the first n lanes, y in the others.
inline Vec first(int64_t n, Vec x, Vec y) { return _mm512_mask_blend_ps(first_lanes(n), y.v, x.v); }

// The first lane.
inline float lane(Vec x) { return _mm512_cvtss_f32(x.v); }

inline Vec operator+(Vec a, Vec b) { return _mm512_add_ps(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return _mm512_sub_ps(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return _mm512_mul_ps(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return _mm512_div_ps(a.v, b.v); }
// 1 / x to 14 bits at least, for x in [1, 2^30].
inline Vec about_inverse(Vec x) { return _mm512_rcp14_ps(x.v); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }    // a b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a.v, b.v, c.v); }  // c - a b
// Correctly rounded, as the instruction is, which takes twice as long (Markstein 1990).
inline Vec sqrt(Vec x) {
  constexpr int lowest = 0x0d800000, infinity = 0x7f800000;  // from 2^-100 on, no remainder is denormal
  __m512i above = _mm512_sub_epi32(_mm512_castps_si512(x.v), _mm512_set1_epi32(lowest));
  if (_mm512_cmpge_epu32_mask(above, _mm512_set1_epi32(infinity - lowest))) [[unlikely]]
    return _mm512_sqrt_ps(x.v);
  __m512 inverse = _mm512_rsqrt14_ps(x.v), half = _mm512_set1_ps(0.5f);
  __m512 root = _mm512_mul_ps(x.v, inverse), slope = _mm512_mul_ps(inverse, half);
  __m512 error = _mm512_fnmadd_ps(root, slope, half);
  root = _mm512_fmadd_ps(root, error, root);
  slope = _mm512_fmadd_ps(slope, error, slope);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(root, root, x.v), slope, root);
}
inline Vec abs(Vec x) { return _mm512_abs_ps(x.v); }
inline Vec floor(Vec x) { return _mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
inline Vec ceil(Vec x) { return _mm512_roundscale_ps(x.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
inline Vec round(Vec x) { return _mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// The larger (smaller); b where either is NaN.
inline Vec max_or_second(Vec a, Vec b) { return _mm512_max_ps(a.v, b.v); }
inline Vec min_or_second(Vec a, Vec b) { return _mm512_min_ps(a.v, b.v); }
// The larger (smaller), or NaN where either is.
inline Vec maximum(Vec a, Vec b) {
  return _mm512_mask_max_ps(a.v, _mm512_cmp_ps_mask(a.v, a.v, _CMP_ORD_Q), a.v, b.v);
}
inline Vec minimum(Vec a, Vec b) {
  return _mm512_mask_min_ps(a.v, _mm512_cmp_ps_mask(a.v, a.v, _CMP_ORD_Q), a.v, b.v);
}

inline Mask operator==(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
inline Mask operator!=(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_NEQ_UQ)}; }
inline Mask operator<(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask operator<=(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }
inline Mask operator>(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
inline Mask operator>=(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
inline bool any(Mask m) { return m.v != 0; }
inline Vec select(Mask m, Vec a, Vec b) { return _mm512_mask_blend_ps(m.v, b.v, a.v); }
// One byte, 0 or 1, for each of the first n lanes.
inline void store(bool* p, Mask m, int64_t n) {
  _mm_mask_storeu_epi8(p, first_lanes(n), _mm_maskz_set1_epi8(m.v, 1));
}
inline Mask load(const bool* p, int64_t n) {
  __m128i bytes = _mm_maskz_loadu_epi8(first_lanes(n), p);
  return {_mm_test_epi8_mask(bytes, bytes)};
}

inline Bits bits(Vec x) { return {_mm512_castps_si512(x.v)}; }
inline Bits bits(int x) { return {_mm512_set1_epi32(x)}; }
inline Vec from_bits(Bits x) { return _mm512_castsi512_ps(x.v); }
inline Bits to_int(Vec x) { return {_mm512_cvtps_epi32(x.v)}; }  // rounds to nearest
inline Vec to_float(Bits x) { return _mm512_cvtepi32_ps(x.v); }
// The first n lanes as int64_t.
inline void store(int64_t* p, Bits x, int64_t n) {
  const __mmask16 m = first_lanes(n);
  _mm512_mask_storeu_epi64(p, __mmask8(m), _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x.v)));
  _mm512_mask_storeu_epi64(p + 8, __mmask8(m >> 8), _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(x.v, 1)));
}
inline Bits operator+(Bits a, Bits b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline Bits operator-(Bits a, Bits b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline Bits operator&(Bits a, Bits b) { return {_mm512_and_si512(a.v, b.v)}; }
inline Bits operator|(Bits a, Bits b) { return {_mm512_or_si512(a.v, b.v)}; }
inline Bits operator^(Bits a, Bits b) { return {_mm512_xor_si512(a.v, b.v)}; }
inline Mask operator==(Bits a, Bits b) { return {_mm512_cmpeq_epi32_mask(a.v, b.v)}; }
inline Mask at_most(Bits a, Bits b) { return {_mm512_cmple_epu32_mask(a.v, b.v)}; }  // unsigned
template <int n>
inline Bits shift_left(Bits x) {
  return {_mm512_slli_epi32(x.v, n)};
}
template <int n>
inline Bits shift_right(Bits x) {  // keeps the sign
  return {_mm512_srai_epi32(x.v, n)};
}

// The upper and lower halves of the unsigned products of each lane with m.
struct Halves {
  Bits high, low;
};
inline Halves multiply(Bits x, uint32_t m) {
  __m512i factor = _mm512_set1_epi32(int(m));
  // Shuffles, not shifts: those would wait for the port that multiplies.
  __m512i even = _mm512_mul_epu32(x.v, factor),
          odd = _mm512_mul_epu32(_mm512_shuffle_epi32(x.v, _MM_PERM_DDBB), factor);
  return {{_mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB)},
          {_mm512_mask_shuffle_epi32(even, 0xaaaa, odd, _MM_PERM_CCAA)}};
}
// a[0] b[0] c[0] d[0] a[1] b[1] ... to `out`.
inline void interleave(Bits a, Bits b, Bits c, Bits d, uint32_t* out) {
  __m512i ab_low = _mm512_unpacklo_epi32(a.v, b.v), ab_high = _mm512_unpackhi_epi32(a.v, b.v);
  __m512i cd_low = _mm512_unpacklo_epi32(c.v, d.v), cd_high = _mm512_unpackhi_epi32(c.v, d.v);
  // Quarter q of r[j] holds lane 4 q + j of all four.
  __m512i r[4] = {_mm512_unpacklo_epi64(ab_low, cd_low), _mm512_unpackhi_epi64(ab_low, cd_low),
                  _mm512_unpacklo_epi64(ab_high, cd_high), _mm512_unpackhi_epi64(ab_high, cd_high)};
  __m512i even01 = _mm512_shuffle_i32x4(r[0], r[1], 0x88), even23 = _mm512_shuffle_i32x4(r[2], r[3], 0x88);
  __m512i odd01 = _mm512_shuffle_i32x4(r[0], r[1], 0xdd), odd23 = _mm512_shuffle_i32x4(r[2], r[3], 0xdd);
  _mm512_storeu_si512(out, _mm512_shuffle_i32x4(even01, even23, 0x88));
  _mm512_storeu_si512(out + 16, _mm512_shuffle_i32x4(odd01, odd23, 0x88));
  _mm512_storeu_si512(out + 32, _mm512_shuffle_i32x4(even01, even23, 0xdd));
  _mm512_storeu_si512(out + 48, _mm512_shuffle_i32x4(odd01, odd23, 0xdd));
}
inline Bits load_bits(const uint32_t* p) { return {_mm512_loadu_si512(p)}; }

// table[i] for the lowest five bits of each lane.
constexpr bool has_lookup = true;
inline Vec lookup(const float (&table)[32], Bits i) {
  return _mm512_permutex2var_ps(_mm512_loadu_ps(table), i.v, _mm512_loadu_ps(table + 16));
}

// x 2^n for whole n, rounded once.
inline Vec scale(Vec x, Vec n) { return _mm512_scalef_ps(x.v, n.v); }

// 2^n for whole n in [-126, 127].
inline Vec power_of_two(Vec n) { return _mm512_scalef_ps(_mm512_set1_ps(1), n.v); }

// All lanes joined by a function of two packs.
template <class Join>
inline float horizontal(Vec x, const Join& join) {
  x = join(x, _mm512_shuffle_f32x4(x.v, x.v, 0xb1));
  x = join(x, _mm512_shuffle_f32x4(x.v, x.v, 0x4e));
  x = join(x, _mm512_permute_ps(x.v, 0x4e));
  x = join(x, _mm512_permute_ps(x.v, 0xb1));
  return _mm512_cvtss_f32(x.v);
}
