// Products of bfloat16 matrices, summed over all of k in float and rounded once, at the store.
//
// The matrices are widened, which is exact, while they are packed, block by block: the micro-kernels are those of
// float products, and no copy of a whole matrix is ever made. It saves memory, not time: processors without units for
// matrices (gemm_amx.inl) multiply bfloat16 no faster than float.
//
// Included inside the namespace of an instruction set, after gemm.inl. Sums run in blocks of k that depend on k only.

inline float widen(uint16_t x) { return __builtin_bit_cast(float, uint32_t(x) << 16); }

// To nearest, ties to even; NaN stays NaN. As BFloat16 does it, in a form that compilers turn into vector code.
inline uint16_t narrowed(float x) {
  const uint32_t u = __builtin_bit_cast(uint32_t, x);
  const uint32_t rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, quiet = u >> 16 | 0x40;
  return uint16_t((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

// C (m, n) = activation(alpha A B (+ R) (+ bias)); strides as in Product.
struct HalfProduct {
  int64_t m, n, k;
  const uint16_t *a, *b, *residual, *bias;
  uint16_t* c;
  int64_t a_row, a_col, b_row, b_col, c_row;
  float alpha;
  Activation activation;
};

// to[p * to_row + i] = from[i * from_row + p] for i < rows and p < k, as pack_transposed does it. A word holds two
// steps of a row: transposed, its halves go to two columns.
inline void widen_transposed(const uint16_t* from, int64_t from_row, int64_t rows, int64_t k, float* to,
                             int64_t to_row) {
  for (int64_t p = 0; p + 1 < k; p += 2 * lanes) {
    const int64_t words = least(lanes, (k - p) / 2);
    for (int64_t first = (rows - 1) / lanes * lanes; first >= 0; first -= lanes) {
      const uint16_t* at = from + first * from_row + p;
      Vec r[lanes];
      for (int i = 0; i < lanes; ++i)
        r[i] = first + i < rows ? load(reinterpret_cast<const float*>(at + i * from_row), words) : Vec(0.0);
      transpose(r);
      for (int64_t i = 0; i < words; ++i) {
        store(to + (p + 2 * i) * to_row + first, from_bits(shift_left<16>(bits(r[i]))));
        store(to + (p + 2 * i + 1) * to_row + first, from_bits(bits(r[i]) & bits(int(0xffff0000))));
      }
    }
  }
  if (k % 2) {
    for (int64_t i = 0; i < rows; ++i) to[(k - 1) * to_row + i] = widen(from[i * from_row + k - 1]);
    for (int64_t i = rows; i < to_row; ++i) to[(k - 1) * to_row + i] = 0;
  }
}

// to[p * to_row + i] = from[p * from_row + i] for i < columns, and 0 for the rest of to_row.
inline void widen_rows(const uint16_t* from, int64_t from_row, int64_t columns, int64_t k, float* to,
                       int64_t to_row) {
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t i = 0; i < columns; ++i) to[p * to_row + i] = widen(from[p * from_row + i]);
    for (int64_t i = columns; i < to_row; ++i) to[p * to_row + i] = 0;
  }
}

// What becomes of `count` sums in the row and from the column on: C, rounded once.
inline void finish(const HalfProduct& x, float* sum, int64_t row, int64_t column, int64_t count) {
  uint16_t* c = x.c + row * x.c_row + column;
  if (x.alpha != 1) {
    for (int64_t j = 0; j < count; ++j) sum[j] *= x.alpha;
  }
  if (x.residual) {
    for (int64_t j = 0; j < count; ++j) sum[j] += widen(x.residual[row * x.c_row + column + j]);
  }
  if (x.bias) {
    for (int64_t j = 0; j < count; ++j) sum[j] += widen(x.bias[column + j]);
  }
  activate(x.activation, sum, 0, 1, count);
  for (int64_t j = 0; j < count; ++j) c[j] = narrowed(sum[j]);
}

// A block of C and what it needs: 16 strips of A of up to k_block steps (AVX-512: 224 KB), a panel of B that stays in
// the first cache while the strips go by, and the sums (448 KB), which are read and written once per block of k.
constexpr int64_t half_m_block = 16 * max_rows, half_n_block = 512;

struct HalfBlocks {
  int64_t m, n, k;        // sizes of a block
  int64_t height, width;  // of its tiles
  int64_t a_floats() const { return round_up(m * k + slack, lanes); }
  int64_t b_floats() const { return k * width; }
  int64_t space() const { return a_floats() + b_floats() + m * n; }
};

inline void half_block(const HalfProduct& x, const HalfBlocks& blocks, Range rows, Range columns, float* space) {
  float* packed_a = space;
  float* packed_b = packed_a + blocks.a_floats();
  float* sums = packed_b + blocks.b_floats();
  const int64_t height = blocks.height, width = blocks.width, c_row = blocks.n;
  for (int64_t p = 0; p < x.k; p += blocks.k) {
    const int64_t steps = least(blocks.k, x.k - p);
    for (int64_t i = rows.begin; i < rows.end; i += height) {
      const int64_t strip = least(height, rows.end - i);
      const uint16_t* from = x.a + i * x.a_row + p * x.a_col;
      float* to = packed_a + (i - rows.begin) * steps;
      if (x.a_col == 1)
        widen_transposed(from, x.a_row, strip, steps, to, strip);
      else
        widen_rows(from, x.a_col, strip, steps, to, strip);
    }
    for (int64_t j = columns.begin; j < columns.end; j += width) {
      Tile t;
      t.columns = least(width, columns.end - j);
      t.b = packed_b;
      t.b_step = round_up(t.columns, lanes);
      const uint16_t* from = x.b + j * x.b_col + p * x.b_row;
      if (x.b_col == 1)
        widen_rows(from, x.b_row, t.columns, steps, packed_b, t.b_step);
      else
        widen_transposed(from, x.b_col, t.columns, steps, packed_b, t.b_step);
      t.k = steps;
      t.c_row = c_row;
      for (int64_t i = rows.begin; i < rows.end; i += height) {
        const int64_t strip = least(height, rows.end - i);
        t.a = packed_a + (i - rows.begin) * steps;
        t.a_row = 1;
        t.a_step = strip;
        t.c = sums + (i - rows.begin) * c_row + (j - columns.begin);
        t.residual = p > 0 ? t.c : nullptr;
        micro_kernel_for<true, BRows::whole>(strip, t.columns)(t);
      }
    }
  }
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    float* sum = sums + (i - rows.begin) * c_row;
    if (x.k == 0) __builtin_memset(sum, 0, size_t(columns.size()) * sizeof(float));
    finish(x, sum, i, columns.begin, columns.size());
  }
}

// --- few rows ------------------------------------------------------------------------------------------------------

// With a few rows reading B is all that counts: dot products take it as it lies, half the bytes of a float matrix. Of
// each register of words the lower halves and the upper are multiplied apart.
constexpr int half_dot_rows = 4, half_dot_columns = 4;

// to[i] = row `row` of A, words of it as registers of lower halves and of upper ones, with zeros at the end.
inline void split_row(const HalfProduct& x, int64_t row, float* to, int64_t size) {
  for (int64_t p = 0; p < size; ++p) {
    const int64_t at = p / (2 * lanes) * 2 * lanes + p % (2 * lanes) / 2 + p % 2 * lanes;
    to[at] = p < x.k ? widen(x.a[row * x.a_row + p * x.a_col]) : 0;
  }
}

template <int rows>
void half_dots(const HalfProduct& x, const float* a, int64_t a_row, int64_t column, int64_t columns, float* sum) {
  Vec dot[round_up(rows * half_dot_columns, lanes)];
  for (Vec& each : dot) each = Vec(0.0);
  const auto multiply = [&](int64_t p, int j, Vec words) {
    const Vec low = from_bits(shift_left<16>(bits(words))), high = from_bits(bits(words) & bits(int(0xffff0000)));
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) {
      Vec& to = dot[i * half_dot_columns + j];
      to = fma(load(a + i * a_row + p), low, to);
      to = fma(load(a + i * a_row + p + lanes), high, to);
    }
  };
  const uint16_t* b[half_dot_columns];  // where there are fewer columns, the last counts again
  for (int j = 0; j < half_dot_columns; ++j) b[j] = x.b + (column + least(j, columns - 1)) * x.b_col;
  const int64_t whole = x.k / (2 * lanes) * 2 * lanes;
  for (int64_t p = 0; p < whole; p += 2 * lanes) {
    GRADUS_UNROLL
    for (int j = 0; j < half_dot_columns; ++j) multiply(p, j, load(reinterpret_cast<const float*>(b[j] + p)));
  }
  if (whole < x.k) {
    GRADUS_UNROLL
    for (int j = 0; j < half_dot_columns; ++j) {
      uint16_t rest[2 * lanes] = {};
      __builtin_memcpy(rest, b[j] + whole, size_t(x.k - whole) * sizeof(uint16_t));
      multiply(whole, j, load(reinterpret_cast<const float*>(rest)));
    }
  }
  for (int i = 0; i < rows * half_dot_columns; i += 4)
    store_value(sum + i, sums({dot[i], dot[i + 1], dot[i + 2], dot[i + 3]}));
}

inline bool few_rows(const HalfProduct& x) { return x.m <= half_dot_rows && x.b_row == 1 && x.b_col != 1; }

inline void half_dot_block(const HalfProduct& x, const float* a, int64_t a_row, Range columns) {
  constexpr void (*kernels[])(const HalfProduct&, const float*, int64_t, int64_t, int64_t, float*) = {
      half_dots<1>, half_dots<2>, half_dots<3>, half_dots<4>};
  for (int64_t j = columns.begin; j < columns.end; j += half_dot_columns) {
    float sum[round_up(half_dot_rows * half_dot_columns, lanes)];
    const int64_t n = least(half_dot_columns, columns.end - j);
    kernels[x.m - 1](x, a, a_row, j, n, sum);
    for (int64_t i = 0; i < x.m; ++i) finish(x, sum + i * half_dot_columns, i, j, n);
  }
}

// --- tasks ---------------------------------------------------------------------------------------------------------

// What the kernel was given.
struct HalfBatch {
  HalfProduct first;
  int64_t size, a_next, b_next, c_next;

  HalfProduct item(int64_t i) const {
    HalfProduct x = first;
    x.a += i * a_next;
    x.b += i * b_next;
    x.c += i * c_next;
    if (x.residual) x.residual += i * c_next;
    return x;
  }
};

inline HalfBatch half_batch(const Matmul& args) {
  HalfProduct x;
  x.m = args.c.shape[1];
  x.n = args.c.shape[2];
  x.k = args.a.shape[2];
  x.a = args.a.as<uint16_t>();
  x.b = args.b.as<uint16_t>();
  x.residual = static_cast<const uint16_t*>(args.residual);
  x.bias = static_cast<const uint16_t*>(args.bias);
  x.c = args.c.as<uint16_t>();
  x.a_row = x.m == 1 ? 1 : args.a.strides[1];
  x.a_col = x.k == 1 ? 1 : args.a.strides[2];
  x.b_row = x.k == 1 ? 1 : args.b.strides[1];
  x.b_col = x.n == 1 ? 1 : args.b.strides[2];
  x.c_row = args.c.strides[1];
  x.alpha = float(args.alpha);
  x.activation = args.activation;
  return {x, args.c.shape[0], args.a.strides[0], args.b.strides[0], args.c.strides[0]};
}

// All products, cut into these blocks; on several threads into smaller ones, of as many columns as `side` divides.
inline void run_half_blocks(const HalfBatch& batch, HalfBlocks blocks, int64_t side,
                            void (*block)(const HalfProduct&, const HalfBlocks&, Range, Range, float*)) {
  const HalfProduct& x = batch.first;
  const int64_t m_tasks = blocks_of(x.m, blocks.m), wanted = num_threads() > 1 ? 2 * num_threads() : 1;
  while (blocks.n > side && batch.size * m_tasks * blocks_of(x.n, blocks.n) < wanted &&
         blocks.m * blocks.n * x.k >= 2 * task_work)
    blocks.n = round_up(blocks.n / 2, side);
  const int64_t n_tasks = blocks_of(x.n, blocks.n), tasks = m_tasks * n_tasks;
  const int64_t work = most(1, blocks.m * blocks.n * x.k);
  parallel_for(batch.size * tasks, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const Space space(blocks.space());
    for (int64_t task = begin; task < end; ++task) {
      const int64_t row = task % tasks / n_tasks * blocks.m, column = task % n_tasks * blocks.n;
      block(batch.item(task / tasks), blocks, {row, least(x.m, row + blocks.m)},
            {column, least(x.n, column + blocks.n)}, space.floats());
    }
  });
}

inline void run_half_dots(const HalfBatch& batch) {
  const HalfProduct& x = batch.first;
  const int64_t size = round_up(x.k, 2 * lanes), step = 64, tasks = blocks_of(x.n, step);
  parallel_for(batch.size * tasks, most(1, task_work / most(1, x.m * step * x.k)), [&](int64_t begin, int64_t end) {
    const Space a(x.m * size);
    for (int64_t task = begin; task < end; ++task) {
      const HalfProduct one = batch.item(task / tasks);
      const int64_t column = task % tasks * step;
      if (task == begin || column == 0) {
        for (int64_t i = 0; i < x.m; ++i) split_row(one, i, a.floats() + i * size, size);
      }
      half_dot_block(one, a.floats(), size, {column, least(x.n, column + step)});
    }
  });
}

inline void multiply_bfloat16(const HalfBatch& batch) {
  const HalfProduct& x = batch.first;
  if (batch.size * x.m * x.n == 0) return;
  if (few_rows(x)) return run_half_dots(batch);
  HalfBlocks blocks;
  blocks.m = equal_blocks(x.m, half_m_block);
  blocks.n = equal_blocks(x.n, half_n_block);
  blocks.k = x.k ? equal_blocks(x.k, k_block) : 1;
  blocks.height = equal_blocks(blocks.m, max_rows);
  blocks.width = tile_width(blocks.height, blocks.n);
  run_half_blocks(batch, blocks, 2 * lanes, half_block);
}

inline void matmul_bfloat16(const Matmul& args) { multiply_bfloat16(half_batch(args)); }

inline void fill_bfloat16(KernelTable& table) {
  table.matmul = matmul_bfloat16;
  table.matmul_packed = matmul_bfloat16;
  plain_cast_bfloat16 = table.cast;
  table.cast = cast_bfloat16;
}
