// What products, convolutions and pooling need of AVX-512: tile sizes and shuffles.

// The tile of C that a micro-kernel keeps in registers is 14 x 32: 28 accumulators, 2 registers of B, and one
// of A that the multiply reads from memory itself: 31 of 32. Per step of k it loads 14 + 2 values for 28
// multiply-adds, well under the two loads a cycle can bring. Tiles of few rows are made wider, to have at
// least the 8 sums under way that hide the multiply's latency.
constexpr int max_rows = 14;
constexpr int most_vectors = 8;
constexpr int vectors_for(int rows) { return rows <= 2 ? 8 : rows <= 4 ? 6 : rows <= 6 ? 4 : rows <= 9 ? 3 : 2; }
// Steps of k per block: a panel of B, k_block x 32 floats, takes 32 KB of a first cache of 32 to 48 and stays there
// while strips of A go by, 14 x k_block floats, 14 KB. C is read and written once per block: 8 bytes for 512
// operations.
constexpr int64_t k_block = 256;
// The largest tile of dot products: 6 x 4 accumulators, 4 registers of B and one of A: 29 of 32.
constexpr int dot_rows = 6;
constexpr int most_dot_columns = 8;
constexpr int dot_columns_for(int rows) { return rows <= 3 ? 8 : 4; }

constexpr bool masks_are_free = true;  // whether a masked load costs no more than another

// Half a register, for tiles of no more columns: processors that do the halves of a whole one after the other, as Zen 4
// does, need half the time.
struct Half {
  static constexpr int lanes = 8;
  __m256 v;

  Half() = default;
  Half(__m256 raw) : v(raw) {}
  explicit Half(double x) : v(_mm256_set1_ps(float(x))) {}
  static Half load(const float* p) { return _mm256_loadu_ps(p); }
  static Half load(const float* p, int64_t n) { return _mm256_maskz_loadu_ps(__mmask8(first_lanes(n)), p); }
};
inline void store(float* p, Half x) { _mm256_storeu_ps(p, x.v); }
inline void store(float* p, Half x, int64_t n) { _mm256_mask_storeu_ps(p, __mmask8(first_lanes(n)), x.v); }
inline Half operator+(Half a, Half b) { return _mm256_add_ps(a.v, b.v); }
inline Half operator*(Half a, Half b) { return _mm256_mul_ps(a.v, b.v); }
inline Half fma(Half a, Half b, Half c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }

// Keeps x in a register: g++ likes to read what is used two or three times from memory each time.
template <class V>
inline void hold(V& x) {
  asm("" : "+v"(x.v));
}

// The elements 0, 2, 4 ... of a and then of b.
inline Vec even_lanes(Vec a, Vec b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(a.v, even, b.v);
}

// The elements 1, 3, 5 ... of a and then of b.
inline Vec odd_lanes(Vec a, Vec b) {
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_permutex2var_ps(a.v, odd, b.v);
}

// a[0] b[0] a[1] b[1] ..., the first half and the second.
inline Vec alternate_low(Vec a, Vec b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return _mm512_permutex2var_ps(a.v, low, b.v);
}
inline Vec alternate_high(Vec a, Vec b) {
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  return _mm512_permutex2var_ps(a.v, high, b.v);
}

// r becomes its transpose: first within 2 x 2 and 4 x 4 blocks, then blocks among the four quarters.
inline void transpose(Vec (&r)[16]) {
  __m512 t[16], q[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm512_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int half = 0; half < 2; ++half) {
      q[i + 2 * half] = _mm512_shuffle_ps(t[i + half], t[i + half + 2], 0x44);
      q[i + 2 * half + 1] = _mm512_shuffle_ps(t[i + half], t[i + half + 2], 0xee);
    }
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_f32x4(q[i], q[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(q[i], q[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(q[i + 8], q[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(q[i + 8], q[i + 12], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
  }
}

using Four = __m128;

// Element i of the result is the sum of the lanes of r[i]. Each step halves what is left of each.
inline Four sums(const Vec (&r)[4]) {
  const Vec x = Vec(_mm512_unpacklo_ps(r[0].v, r[1].v)) + Vec(_mm512_unpackhi_ps(r[0].v, r[1].v));
  const Vec y = Vec(_mm512_unpacklo_ps(r[2].v, r[3].v)) + Vec(_mm512_unpackhi_ps(r[2].v, r[3].v));
  const Vec quarters = Vec(_mm512_shuffle_ps(x.v, y.v, 0x44)) + Vec(_mm512_shuffle_ps(x.v, y.v, 0xee));
  const __m256 halves =
      _mm512_castps512_ps256(quarters.v) + _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(quarters.v), 1));
  return _mm256_castps256_ps128(halves) + _mm256_extractf128_ps(halves, 1);
}
