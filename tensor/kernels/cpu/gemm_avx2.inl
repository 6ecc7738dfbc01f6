// What products, convolutions and pooling need of AVX2: tile sizes and shuffles.

// The tile of C that a micro-kernel keeps in registers is 6 x 16: 12 accumulators, 2 registers of B, one of
// A: 15 of 16. Tiles of few rows are made wider, to have at least the 8 sums under way that hide the
// multiply's latency.
constexpr int max_rows = 6;
constexpr int most_vectors = 8;
constexpr int vectors_for(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
// Steps of k per block: a panel of B, k_block x 16 floats, takes 16 KB of a first cache of 32 to 48 and stays there
// while strips of A go by, 6 x k_block floats, 6 KB. C is read and written once per block: 8 bytes for 512
// operations.
constexpr int64_t k_block = 256;
// The largest tile of dot products: 3 x 4 accumulators, 3 registers of A and one of B: all 16.
constexpr int dot_rows = 3;
constexpr int most_dot_columns = 8;
constexpr int dot_columns_for(int rows) { return rows == 1 ? 8 : 4; }

constexpr bool masks_are_free = false;  // whether a masked load costs no more than another

using Half = Vec;  // tiles of few columns gain nothing by narrower registers

// Keeps x in a register: g++ likes to read what is used two or three times from memory each time.
inline void hold(Vec& x) { asm("" : "+x"(x.v)); }

// The elements 0, 2, 4 ... of a and then of b.
inline Vec even_lanes(Vec a, Vec b) {
  const __m256d halves = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, 0x88));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(halves, 0xd8));
}

// The elements 1, 3, 5 ... of a and then of b.
inline Vec odd_lanes(Vec a, Vec b) {
  const __m256d halves = _mm256_castps_pd(_mm256_shuffle_ps(a.v, b.v, 0xdd));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(halves, 0xd8));
}

// a[0] b[0] a[1] b[1] ..., the first half and the second.
inline Vec alternate_low(Vec a, Vec b) {
  return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v), 0x20);
}
inline Vec alternate_high(Vec a, Vec b) {
  return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v), 0x31);
}

// r becomes its transpose: first within 2 x 2 and 4 x 4 blocks, then the blocks of the two halves.
inline void transpose(Vec (&r)[8]) {
  __m256 t[8], q[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i].v, r[i + 1].v);
    t[i + 1] = _mm256_unpackhi_ps(r[i].v, r[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int half = 0; half < 2; ++half) {
      q[i + 2 * half] = _mm256_shuffle_ps(t[i + half], t[i + half + 2], 0x44);
      q[i + 2 * half + 1] = _mm256_shuffle_ps(t[i + half], t[i + half + 2], 0xee);
    }
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2f128_ps(q[i], q[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(q[i], q[i + 4], 0x31);
  }
}

using Four = __m128;

// Element i of the result is the sum of the lanes of r[i]. Each step halves what is left of each.
inline Four sums(const Vec (&r)[4]) {
  const Vec x = Vec(_mm256_unpacklo_ps(r[0].v, r[1].v)) + Vec(_mm256_unpackhi_ps(r[0].v, r[1].v));
  const Vec y = Vec(_mm256_unpacklo_ps(r[2].v, r[3].v)) + Vec(_mm256_unpackhi_ps(r[2].v, r[3].v));
  const Vec halves = Vec(_mm256_shuffle_ps(x.v, y.v, 0x44)) + Vec(_mm256_shuffle_ps(x.v, y.v, 0xee));
  return _mm256_castps256_ps128(halves.v) + _mm256_extractf128_ps(halves.v, 1);
}
