// Rung 6, threaded: the strips of rows of C are shared out among threads.
//
// Nobody waits for anybody within a block of B: its panels are packed by all, then each strip belongs to whoever
// takes it. A strip of 12 rows is 12 x 1024 x 256 multiply-adds, some 40 us at 150 GFLOP/s, against less than 1 us
// for handing it over; and short enough that threads end together: where one is held up, the others take its
// strips. Two barriers a block cost each thread half a strip on average, so the product should be several strips a
// thread high.
//
// An element of C is summed by one thread at a time and in the order of k, so the bits do not depend on the number
// of threads.
//
// Included after 5_vectorised.inl and 4_packed.inl.

//! [threaded]
inline void multiply_threaded(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  parallel_for(m * n, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) c[i] = 0;
  });
  float* panels = static_cast<float*>(allocate(panel_bytes(n)));
  for (int64_t p = 0; p < k; p += k_block) {
    const int64_t steps = least(k_block, k - p);
    for (int64_t j = 0; j < n; j += n_block) {  // block of B
      const int64_t columns = least(n_block, n - j);
      const float* block = b + p * n + j;
      parallel_for(columns, 2 * tile_columns, [&](int64_t begin, int64_t end) {
        pack_b(steps, end - begin, block + begin, n, panels + begin * steps);
      });
      parallel_for((m + tile_rows - 1) / tile_rows, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin * tile_rows; i < least(m, end * tile_rows); i += tile_rows)
          add_strip(least(tile_rows, m - i), columns, steps, a + i * k + p, k, panels, c + i * n + j, n);
      });
    }
  }
  deallocate(panels, panel_bytes(n));
}
//! [threaded]
