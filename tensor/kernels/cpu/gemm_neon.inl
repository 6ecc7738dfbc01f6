// What products, convolutions and pooling need of NEON: tile sizes and shuffles.

// The tile of C that a micro-kernel keeps in registers is 8 x 12: 24 accumulators, 3 registers of B and one of A: 28
// of 32. Per step of k it loads 8 + 3 values for 24 multiply-adds, which take 12 cycles on cores of two units and two
// loads a cycle, 6 on those of four and three. Tiles of few rows are made wider, to have at least the 8 sums under
// way that hide the multiply's latency of 4 cycles in two units.
constexpr int max_rows = 8;
constexpr int most_vectors = 8;
constexpr int vectors_for(int rows) { return rows <= 2 ? 8 : rows <= 4 ? 4 : 3; }
// Steps of k per block: a panel of B, k_block x 12 floats, takes 18 KB of a first cache of 32 to 128 and stays
// there while strips of A go by, 8 x k_block floats, 12 KB. C is read and written once per block: 8 bytes for 768
// operations.
constexpr int64_t k_block = 384;
// The largest tile of dot products: 6 x 4 accumulators, 6 registers of A and one of B: 31 of 32.
constexpr int dot_rows = 6;
constexpr int most_dot_columns = 8;
constexpr int dot_columns_for(int rows) { return rows <= 2 ? 8 : 4; }

constexpr bool masks_are_free = false;  // whether a masked load costs no more than another

using Half = Vec;  // tiles of few columns gain nothing by narrower registers

// Keeps x in a register: g++ likes to read what is used two or three times from memory each time.
inline void hold(Vec& x) { asm("" : "+w"(x.v)); }

// The elements 0, 2, 4 ... of a and then of b.
inline Vec even_lanes(Vec a, Vec b) { return vuzp1q_f32(a.v, b.v); }

// The elements 1, 3, 5 ... of a and then of b.
inline Vec odd_lanes(Vec a, Vec b) { return vuzp2q_f32(a.v, b.v); }

// a[0] b[0] a[1] b[1] ..., the first half and the second.
inline Vec alternate_low(Vec a, Vec b) { return vzip1q_f32(a.v, b.v); }
inline Vec alternate_high(Vec a, Vec b) { return vzip2q_f32(a.v, b.v); }

// r becomes its transpose: first within 2 x 2 blocks, then the blocks of the two halves.
inline void transpose(Vec (&r)[4]) {
  const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(r[0].v, r[1].v));
  const float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(r[0].v, r[1].v));
  const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(r[2].v, r[3].v));
  const float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(r[2].v, r[3].v));
  r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
  r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
  r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
  r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}

using Four = float32x4_t;

// Element i of the result is the sum of the lanes of r[i].
inline Four sums(const Vec (&r)[4]) { return vpaddq_f32(vpaddq_f32(r[0].v, r[1].v), vpaddq_f32(r[2].v, r[3].v)); }
