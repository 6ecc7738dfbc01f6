// Rung 5, vectorised: the tile in vectors of the instruction set, with multiply-adds; all else is rung 4.
//
// A core with two AVX-512 units does 2 multiply-adds of 16 floats a cycle, 64 operations; with AVX2 half as many,
// with the two to four units of NEON a quarter or half. To reach that:
//  - Independent sums: a multiply-add takes 4 cycles, so 2 units want at least 8 of them under way. A tile of 12 x
//    2 vectors has 24, of 32 registers; 2 more hold B, and one holds the number of A that is multiplied by both.
//    AVX2 has 16 registers, so its tile is 6 x 2: 12 sums, 2 for B, 1 for A.
//  - Few loads: a step of the tile of 12 x 2 reads 2 vectors and 12 numbers for 24 multiply-adds, 14 loads in the
//    12 cycles that these take, where 2 to 3 a cycle are possible.
//  - Bytes: a tile of 12 x 32 reads a panel of 32 KB from the second cache for 12 x 32 x 256 multiply-adds, 3072
//    cycles with AVX-512: 11 bytes a cycle, of the 48 or so that it gives.
//
// Included after a pack of tensor/kernels/cpu (vec_avx512.h, vec_avx2.h or vec_neon.h), where Vec is a vector of
// floats and load, store and fma are one instruction each.

constexpr int tile_vectors = 2;
constexpr int64_t tile_rows = Vec::lanes == 8 ? 6 : 12, tile_columns = tile_vectors * Vec::lanes;

//! [tile]
inline void add_tile(int64_t steps, const float* a, const float* b, float* c, int64_t c_row) {
  Vec sum[tile_rows][tile_vectors];
  LADDER_UNROLL
  for (int i = 0; i < tile_rows; ++i) {
    LADDER_UNROLL
    for (int v = 0; v < tile_vectors; ++v) sum[i][v] = Vec(0.0);
  }
  for (int64_t p = 0; p < steps; ++p, a += tile_rows, b += tile_columns) {
    Vec row[tile_vectors];
    LADDER_UNROLL
    for (int v = 0; v < tile_vectors; ++v) row[v] = load(b + v * Vec::lanes);
    LADDER_UNROLL
    for (int i = 0; i < tile_rows; ++i) {
      const Vec factor = Vec(a[i]);
      LADDER_UNROLL
      for (int v = 0; v < tile_vectors; ++v) sum[i][v] = fma(factor, row[v], sum[i][v]);
    }
  }
  LADDER_UNROLL
  for (int i = 0; i < tile_rows; ++i) {
    LADDER_UNROLL
    for (int v = 0; v < tile_vectors; ++v) {
      float* to = c + i * c_row + v * Vec::lanes;
      store(to, load(to) + sum[i][v]);
    }
  }
}
//! [tile]
