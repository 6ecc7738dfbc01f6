// Rung 4, packed: a tile of C stays in registers, reading copies in the order in which it reads.
//
//  - The tile: 4 x 8 sums are 8 vectors of 4. A step of k reads 4 floats of A and 8 of B for 64 operations, 1.5
//    bytes for 2 operations, where rung 3 read and wrote 12. C is read and written once for 256 steps.
//  - The copies: a panel is tile_columns columns of a block of B, row after row; a strip is tile_rows rows of A,
//    column after column. A tile walks through both from beginning to end. Where B lies, the rows of a tile are n
//    floats apart. At n = 1024, 4 KB, each of 256 rows is in a page of its own, more than the 64 to 96 that the
//    first level of address translation knows, and all 256 want the same few places of the first cache (64 sets of
//    64 bytes repeat every 4 KB), which keeps 8 or 12 of them. A panel of 256 x 8 floats is 8 KB, in 2 or 3 pages
//    and spread over all places. At n = 1024 the tile without the copies is slower than rung 3.
//
// What it costs: a float of B is read and written once for the m multiply-adds it takes part in, and one of A for
// each n_block. At m = 1024, with copies of about 1 ns for a float, that is 1 ns beside 2 x 1024 operations: at 20
// GFLOP/s 1 ns of 100, and even at 150 GFLOP/s 1 of 14. The zeros that fill up panels and strips at the borders let
// one tile serve everywhere.
//
// Included after a tile: tile_rows, tile_columns and add_tile(steps, a, b, c, c_row), which adds to tile_rows x
// tile_columns of C, whose rows begin c_row floats apart, the product of a strip and a panel of `steps` steps.

// Steps of a panel: of 8 columns it takes 8 KB, of 32 columns 32 KB of a first cache of 32 or 48.
constexpr int64_t k_block = 256;
// Columns of a block of B: it takes 1 MB of a second cache of 2; where that has 1, 512 are better.
constexpr int64_t n_block = 1024;
constexpr int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }

//! [pack]
// `columns` columns of B, from b on, as panels.
inline void pack_b(int64_t steps, int64_t columns, const float* b, int64_t n, float* panels) {
  for (int64_t j = 0; j < columns; j += tile_columns) {
    const int64_t width = least(tile_columns, columns - j);
    for (int64_t p = 0; p < steps; ++p, panels += tile_columns) {
      for (int64_t l = 0; l < width; ++l) panels[l] = b[p * n + j + l];
      for (int64_t l = width; l < tile_columns; ++l) panels[l] = 0;
    }
  }
}

// `rows` rows of A, at most tile_rows, from a on, as a strip.
inline void pack_a(int64_t rows, int64_t steps, const float* a, int64_t k, float* strip) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t p = 0; p < steps; ++p) strip[p * tile_rows + i] = a[i * k + p];
  }
  for (int64_t i = rows; i < tile_rows; ++i) {
    for (int64_t p = 0; p < steps; ++p) strip[p * tile_rows + i] = 0;
  }
}
//! [pack]

//! [strip]
// C (rows, columns) += A B for at most tile_rows rows of A and a packed block of B.
inline void add_strip(int64_t rows, int64_t columns, int64_t steps, const float* a, int64_t k, const float* panels,
                      float* c, int64_t n) {
  float strip[tile_rows * k_block];
  pack_a(rows, steps, a, k, strip);
  for (int64_t j = 0; j < columns; j += tile_columns) {
    const int64_t width = least(tile_columns, columns - j);
    if (rows == tile_rows && width == tile_columns) {
      add_tile(steps, strip, panels + j * steps, c + j, n);
    } else {  // at a border: all of a tile beside C, of which C gets what belongs to it
      float tile[tile_rows * tile_columns] = {};
      add_tile(steps, strip, panels + j * steps, tile, tile_columns);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t l = 0; l < width; ++l) c[i * n + j + l] += tile[i * tile_columns + l];
      }
    }
  }
}
//! [strip]

// Bytes of a packed block of B.
inline size_t panel_bytes(int64_t n) {
  const int64_t panels = (least(n, n_block) + tile_columns - 1) / tile_columns;
  return size_t(panels * tile_columns * k_block) * sizeof(float);
}

//! [packed]
inline void multiply(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < m * n; ++i) c[i] = 0;
  float* panels = static_cast<float*>(allocate(panel_bytes(n)));
  for (int64_t p = 0; p < k; p += k_block) {
    const int64_t steps = least(k_block, k - p);
    for (int64_t j = 0; j < n; j += n_block) {  // block of B
      const int64_t columns = least(n_block, n - j);
      pack_b(steps, columns, b + p * n + j, n, panels);
      for (int64_t i = 0; i < m; i += tile_rows)
        add_strip(least(tile_rows, m - i), columns, steps, a + i * k + p, k, panels, c + i * n + j, n);
    }
  }
  deallocate(panels, panel_bytes(n));
}
//! [packed]
