// Eight floats in an AVX register. Included inside the backend's namespace; vec_avx512.h offers the same names.

struct Bits {  // the same register as eight int32_t
  __m256i v;
};

struct Mask {  // all bits of a lane set or none
  __m256 v;
};

struct Vec {
  static constexpr int lanes = 8;
  __m256 v;

  Vec() = default;
  Vec(__m256 raw) : v(raw) {}
  explicit Vec(double x) : v(_mm256_set1_ps(float(x))) {}
};

inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(int(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec x) { _mm256_storeu_ps(p, x.v); }
// To p, a multiple of 32, past the caches; stream_end() before others read it.
inline void stream(float* p, Vec x) { _mm256_stream_ps(p, x.v); }
inline void stream_end() { _mm_sfence(); }
// The first n lanes, 0 <= n <= lanes: the others load 0 and are not stored; memory beyond n is not touched.
inline Vec load(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
inline void store(float* p, Vec x, int64_t n) {
  if (n == Vec::lanes) return store(p, x);  // a masked store costs some processors a dozen cycles
  _mm256_maskstore_ps(p, first_lanes(n), x.v);
}
// x in the first n lanes, y in the others.
inline Vec first(int64_t n, Vec x, Vec y) { return _mm256_blendv_ps(y.v, x.v, _mm256_castsi256_ps(first_lanes(n))); }

// The first lane.
inline float lane(Vec x) { return _mm256_cvtss_f32(x.v); }

inline Vec operator+(Vec a, Vec b) { return _mm256_add_ps(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return _mm256_sub_ps(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return _mm256_mul_ps(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return _mm256_div_ps(a.v, b.v); }
// 1 / x to 14 bits at least, for x in [1, 2^30].
inline Vec about_inverse(Vec x) { return _mm256_div_ps(_mm256_set1_ps(1), x.v); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }    // a b + c
inline Vec fnma(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a.v, b.v, c.v); }  // c - a b
inline Vec sqrt(Vec x) { return _mm256_sqrt_ps(x.v); }
inline Vec abs(Vec x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x.v); }
inline Vec floor(Vec x) { return _mm256_round_ps(x.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
inline Vec ceil(Vec x) { return _mm256_round_ps(x.v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
inline Vec round(Vec x) { return _mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// The larger (smaller); b where either is NaN.
inline Vec max_or_second(Vec a, Vec b) { return _mm256_max_ps(a.v, b.v); }
inline Vec min_or_second(Vec a, Vec b) { return _mm256_min_ps(a.v, b.v); }
// The larger (smaller), or NaN where either is.
inline Vec maximum(Vec a, Vec b) {
  return _mm256_blendv_ps(_mm256_max_ps(a.v, b.v), a.v, _mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
}
inline Vec minimum(Vec a, Vec b) {
  return _mm256_blendv_ps(_mm256_min_ps(a.v, b.v), a.v, _mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q));
}

inline Mask operator==(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
inline Mask operator!=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_NEQ_UQ)}; }
inline Mask operator<(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask operator<=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
inline Mask operator>(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
inline Mask operator>=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
inline bool any(Mask m) { return _mm256_movemask_ps(m.v) != 0; }
inline Vec select(Mask m, Vec a, Vec b) { return _mm256_blendv_ps(b.v, a.v, m.v); }
// One byte, 0 or 1, for each of the first n lanes.
inline void store(bool* p, Mask m, int64_t n) {
  __m256i whole = _mm256_castps_si256(m.v);
  __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  __m128i bytes = _mm_and_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(1));
  int64_t packed = _mm_cvtsi128_si64(bytes);
  __builtin_memcpy(p, &packed, size_t(n));
}
inline Mask load(const bool* p, int64_t n) {
  int64_t packed = 0;
  __builtin_memcpy(&packed, p, size_t(n));
  __m256i words = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(packed));
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(words, _mm256_setzero_si256()))};
}

inline Bits bits(Vec x) { return {_mm256_castps_si256(x.v)}; }
inline Bits bits(int x) { return {_mm256_set1_epi32(x)}; }
inline Vec from_bits(Bits x) { return _mm256_castsi256_ps(x.v); }
inline Bits to_int(Vec x) { return {_mm256_cvtps_epi32(x.v)}; }  // rounds to nearest
inline Vec to_float(Bits x) { return _mm256_cvtepi32_ps(x.v); }
// The first n lanes as int64_t.
inline void store(int64_t* p, Bits x, int64_t n) {
  int64_t wide[8];
  int64_t* to = n < 8 ? wide : p;
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x.v)));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 4), _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x.v, 1)));
  if (n < 8)
    for (int64_t i = 0; i < n; ++i) p[i] = wide[i];
}
inline Bits operator+(Bits a, Bits b) { return {_mm256_add_epi32(a.v, b.v)}; }
inline Bits operator-(Bits a, Bits b) { return {_mm256_sub_epi32(a.v, b.v)}; }
inline Bits operator&(Bits a, Bits b) { return {_mm256_and_si256(a.v, b.v)}; }
inline Bits operator|(Bits a, Bits b) { return {_mm256_or_si256(a.v, b.v)}; }
inline Bits operator^(Bits a, Bits b) { return {_mm256_xor_si256(a.v, b.v)}; }
inline Mask operator==(Bits a, Bits b) { return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v, b.v))}; }
inline Mask at_most(Bits a, Bits b) {  // unsigned
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a.v, b.v), b.v))};
}
template <int n>
inline Bits shift_left(Bits x) {
  return {_mm256_slli_epi32(x.v, n)};
}
template <int n>
inline Bits shift_right(Bits x) {  // keeps the sign
  return {_mm256_srai_epi32(x.v, n)};
}

// The upper and lower halves of the unsigned products of each lane with m.
struct Halves {
  Bits high, low;
};
inline Halves multiply(Bits x, uint32_t m) {
  __m256i factor = _mm256_set1_epi32(int(m));
  __m256i even = _mm256_mul_epu32(x.v, factor), odd = _mm256_mul_epu32(_mm256_srli_epi64(x.v, 32), factor);
  return {{_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa)},
          {_mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa)}};
}
// a[0] b[0] c[0] d[0] a[1] b[1] ... to `out`.
inline void interleave(Bits a, Bits b, Bits c, Bits d, uint32_t* out) {
  __m256i ab_low = _mm256_unpacklo_epi32(a.v, b.v), ab_high = _mm256_unpackhi_epi32(a.v, b.v);
  __m256i cd_low = _mm256_unpacklo_epi32(c.v, d.v), cd_high = _mm256_unpackhi_epi32(c.v, d.v);
  // Half h of r[j] holds lane 4 h + j of all four.
  __m256i r[4] = {_mm256_unpacklo_epi64(ab_low, cd_low), _mm256_unpackhi_epi64(ab_low, cd_low),
                  _mm256_unpacklo_epi64(ab_high, cd_high), _mm256_unpackhi_epi64(ab_high, cd_high)};
  __m256i* to = reinterpret_cast<__m256i*>(out);
  _mm256_storeu_si256(to, _mm256_permute2x128_si256(r[0], r[1], 0x20));
  _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(r[2], r[3], 0x20));
  _mm256_storeu_si256(to + 2, _mm256_permute2x128_si256(r[0], r[1], 0x31));
  _mm256_storeu_si256(to + 3, _mm256_permute2x128_si256(r[2], r[3], 0x31));
}
inline Bits load_bits(const uint32_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }

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
  x = join(x, _mm256_permute2f128_ps(x.v, x.v, 1));
  x = join(x, _mm256_permute_ps(x.v, 0x4e));
  x = join(x, _mm256_permute_ps(x.v, 0xb1));
  return _mm256_cvtss_f32(x.v);
}
