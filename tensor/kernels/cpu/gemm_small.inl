// Products in which what surrounds the sums takes the time: small ones, and those where m, n or k is small. Nothing of
// A is packed, B only where its columns lie in one piece, and tiles follow each other with little between them.
//
// Included inside the namespace of an instruction set, after gemm.inl.

// Work space that is on the stack where it is small.
class NearSpace {
 public:
  explicit NearSpace(int64_t floats) : far_(floats <= near_floats ? 0 : floats) {}
  float* floats() { return far_.floats() ? far_.floats() : near_; }

 private:
  static constexpr int64_t near_floats = 1 << 12;  // 16 KB
  Space far_;
  float near_[near_floats];
};

// --- tiles of A and B as they lie ----------------------------------------------------------------------------------

// Few rows and a B that comes from afar are limited by reading it. Across some rows of B at a time, tile by tile, that
// goes as fast as along them, and C, little beside B, is read and written once for each such block of k.
constexpr int64_t stream_k = 16;  // rows of B: about as many streams as a processor foresees
inline bool streams(const Product& x) {
  return x.b_col == 1 && x.k > stream_k && x.m <= (x.n * x.k > far_b ? few_near_rows : 2 * max_rows) && x.n >= 128 &&
         x.n * x.k > 1 << 18;
}

template <bool unit_rows, BRows mode>
inline void product_tiles(const Product& x, const float* b, int64_t b_step, Range rows, Range columns) {
  // Where sums are short, writing C takes the time, and goes best along few of its rows.
  const int64_t height = equal_blocks(rows.size(), x.k <= 4 && columns.size() >= 16 * lanes ? 4 : max_rows);
  const int64_t width = tile_width(height, columns.size());
  const int64_t k_step = mode == BRows::stream ? stream_k : x.k;
  Tile t;
  t.a_row = x.a_row, t.a_step = x.a_col;
  t.b_step = b_step;
  t.c_row = x.c_row;
  t.alpha = x.alpha;
  int64_t p = 0;
  do {
    t.k = least(k_step, x.k - p);
    const bool last = p + t.k == x.k;
    for (int64_t i = rows.begin; i < rows.end; i += height) {
      const int64_t tile_rows = least(height, rows.end - i);
      t.a = x.a + i * x.a_row + p * x.a_col;
      t.row_bias = last && x.row_bias ? x.row_bias + i : nullptr;
      for (int64_t j = columns.begin; j < columns.end; j += width) {
        t.columns = least(width, columns.end - j);
        t.b = b + (j - columns.begin) + p * b_step;
        t.c = x.c + i * x.c_row + j;
        t.residual = p > 0 ? t.c : x.residual ? x.residual + i * x.c_row + j : nullptr;
        t.bias = last && x.bias ? x.bias + j : nullptr;
        micro_kernel_for<unit_rows, mode>(tile_rows, t.columns)(t);
        if (last && x.activation != Activation::none) activate(x.activation, t.c, t.c_row, tile_rows, t.columns);
      }
    }
    p += t.k;
  } while (p < x.k);
}

inline void product_tiles(const Product& x, bool stream, Range rows, Range columns) {
  const float* b = x.b + columns.begin * x.b_col;
  int64_t b_step = x.b_row;
  const int64_t width = round_up(columns.size(), lanes);
  NearSpace packed(x.b_col == 1 ? 0 : width * x.k);
  if (x.b_col != 1) {
    pack_panel(x, columns.begin, columns.size(), 0, x.k, packed.floats());
    b = packed.floats(), b_step = width;
  }
  if (x.a_row == 1 && stream)
    product_tiles<true, BRows::stream>(x, b, b_step, rows, columns);
  else if (x.a_row == 1)
    product_tiles<true, BRows::partial>(x, b, b_step, rows, columns);
  else if (stream)
    product_tiles<false, BRows::stream>(x, b, b_step, rows, columns);
  else
    product_tiles<false, BRows::partial>(x, b, b_step, rows, columns);
}

// --- one row -------------------------------------------------------------------------------------------------------

// A B that lies in rows is read once for one row of A, and fastest along two of its own at a time. The sums, of as many
// columns as stay in L1 beside them, are in memory.
inline bool is_row(const Product& x) {
  return x.m == 1 && x.b_col == 1 && x.n > 8 * lanes && x.k > 8 && x.n * x.k > 1 << 13;
}

// sum (+)= a B for `rows` rows of B.
template <int rows>
inline void add_rows(const Product& x, const float* b, int64_t p, int64_t columns, float* sum) {
  Vec a[rows];
  GRADUS_UNROLL
  for (int r = 0; r < rows; ++r) a[r] = Vec(double(x.a[(p + r) * x.a_col]));
  b += p * x.b_row;
  packs(columns, [&](int64_t j, auto... k) {
    Vec y = p == 0 ? Vec(0.0) : load(sum + j);
    GRADUS_UNROLL
    for (int r = 0; r < rows; ++r) y = fma(a[r], load(b + r * x.b_row + j, k...), y);
    store(sum + j, y);
  });
}

inline void product_row(const Product& x, Range columns) {
  constexpr int64_t width = 2048;  // 8 KB
  float sum[width];
  for (int64_t j = columns.begin; j < columns.end; j += width) {
    const int64_t n = least(width, columns.end - j);
    int64_t p = 0;
    for (; p + 2 <= x.k; p += 2) add_rows<2>(x, x.b + j, p, n, sum);
    if (p < x.k) add_rows<1>(x, x.b + j, p, n, sum);
    const Vec row_bias(x.row_bias ? double(*x.row_bias) : 0), alpha(double(x.alpha));
    packs(n, [&](int64_t i, auto... k) {
      Vec y = alpha * load(sum + i);
      if (x.residual) y = y + load(x.residual + j + i, k...);
      if (x.bias) y = y + load(x.bias + j + i, k...);
      if (x.row_bias) y = y + row_bias;
      store(x.c + j + i, y, k...);
    });
    if (x.activation != Activation::none) activate(x.activation, x.c + j, x.c_row, 1, n);
  }
}

// --- short sums of few columns -------------------------------------------------------------------------------------

// All of B stays in registers, half of 32, while rows of A and of C go by: beside so few multiplications what a call of
// a micro-kernel costs would show.
constexpr int most_thin_k = 8, most_thin_vectors = 4, thin_registers = 16;
inline bool is_thin(const Product& x) {
  const int64_t across = (x.n + lanes - 1) / lanes;
  return x.k > 0 && x.k <= most_thin_k && across <= most_thin_vectors && x.k * across <= thin_registers &&
         x.m > max_rows;
}

// b (k, n), its rows b_row apart.
template <int k, int vectors>
void thin_rows(const Product& x, const float* b, int64_t b_row, Range rows) {
  constexpr int last = vectors - 1;
  const int64_t in_last = x.n - last * lanes;
  const auto load_row = [&](const float* from, int v) {
    return v == last ? load(from + v * lanes, in_last) : load(from + v * lanes);
  };
  Vec right[k][vectors], bias[vectors];
  GRADUS_UNROLL
  for (int v = 0; v < vectors; ++v) {
    GRADUS_UNROLL
    for (int p = 0; p < k; ++p) right[p][v] = load_row(b + p * b_row, v);
    bias[v] = x.bias ? load_row(x.bias, v) : Vec(0.0);
  }
  const Vec alpha(double(x.alpha));
  const bool finished = x.alpha == 1 && !x.residual && !x.bias && !x.row_bias;
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const float* a = x.a + i * x.a_row;
    float* c = x.c + i * x.c_row;
    Vec sum[vectors];
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) sum[v] = Vec(0.0);
    GRADUS_UNROLL
    for (int p = 0; p < k; ++p) {
      const Vec left = Vec(double(a[p * x.a_col]));
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[v] = fma(left, right[p][v], sum[v]);
    }
    if (!finished) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) {
        sum[v] = alpha * sum[v];
        if (x.residual) sum[v] = sum[v] + load_row(x.residual + i * x.c_row, v);
        if (x.bias) sum[v] = sum[v] + bias[v];
        if (x.row_bias) sum[v] = sum[v] + Vec(double(x.row_bias[i]));
      }
    }
    GRADUS_UNROLL
    for (int v = 0; v < last; ++v) store(c + v * lanes, sum[v]);
    store(c + last * lanes, sum[last], in_last);
  }
}

using ThinRows = void (*)(const Product&, const float*, int64_t, Range);
struct ThinKernels {
  ThinRows of[most_thin_k][most_thin_vectors] = {};
  template <int... k>
  constexpr explicit ThinKernels(std::integer_sequence<int, k...>) {
    (fill_row<k + 1>(std::make_integer_sequence<int, least(most_thin_vectors, thin_registers / (k + 1))>()), ...);
  }
  template <int k, int... v>
  constexpr void fill_row(std::integer_sequence<int, v...>) {
    ((of[k - 1][v] = thin_rows<k, v + 1>), ...);
  }
};

inline void product_thin(const Product& x, Range rows) {
  static constexpr ThinKernels kernels{std::make_integer_sequence<int, most_thin_k>()};
  float packed[thin_registers * lanes];
  const float* b = x.b;
  int64_t b_row = x.b_row;
  if (x.b_col != 1) {
    pack_panel(x, 0, x.n, 0, x.k, packed);
    b = packed, b_row = round_up(x.n, lanes);
  }
  const ThinRows kernel = kernels.of[x.k - 1][(x.n - 1) / lanes];
  constexpr int64_t together = 256;  // rows that are still in the caches when the activation takes them
  for (int64_t i = rows.begin; i < rows.end; i += together) {
    const Range now{i, least(i + together, rows.end)};
    kernel(x, b, b_row, now);
    if (x.activation != Activation::none) activate(x.activation, x.c + i * x.c_row, x.c_row, now.size(), x.n);
  }
}

// --- few columns ---------------------------------------------------------------------------------------------------

// to[i * to_row + j] = from[j * from_row + i] for i < rows and j < n <= width, a power of two.
template <int width>
inline void turn(const float* from, int64_t from_row, int64_t n, int64_t rows, float* to, int64_t to_row) {
  for (int64_t i = 0; i < rows; i += lanes) {
    const int64_t m = least(lanes, rows - i);
    Vec r[width];
    GRADUS_UNROLL
    for (int j = 0; j < width; ++j) r[j] = j < n ? load(from + j * from_row + i) : Vec(0.0);
    GRADUS_UNROLL
    for (int step = 1; step < width; step *= 2) {  // like shuffling cards: in the end, row follows row
      Vec shuffled[width];
      GRADUS_UNROLL
      for (int j = 0; j < width / 2; ++j) {
        shuffled[2 * j] = alternate_low(r[j], r[j + width / 2]);
        shuffled[2 * j + 1] = alternate_high(r[j], r[j + width / 2]);
      }
      GRADUS_UNROLL
      for (int j = 0; j < width; ++j) r[j] = shuffled[j];
    }
    float* c = to + i * to_row;
    if (to_row == width && n == width && m == lanes) {
      GRADUS_UNROLL
      for (int j = 0; j < width; ++j) store(c + j * lanes, r[j]);
    } else {
      float block[width * lanes + lanes];
      GRADUS_UNROLL
      for (int j = 0; j < width; ++j) store(block + j * lanes, r[j]);
      for (int64_t l = 0; l < m; ++l) store(c + l * to_row, load(block + l * width), n);
    }
  }
}

// Few columns leave many lanes of a tile idle. Where A lies in columns these fill the lanes instead: C^T = B^T A^T is
// computed as above, some columns at a time, and turned.
inline Product turned(const Product& x) {
  Product y = x;
  y.m = x.n, y.n = x.m;
  y.a = x.b, y.a_row = x.b_col, y.a_col = x.b_row;
  y.b = x.a, y.b_row = x.a_col, y.b_col = x.a_row;
  y.bias = x.row_bias, y.row_bias = x.bias;
  return y;
}

constexpr int64_t most_turned = 3 * max_rows;  // columns of C

inline void product_turned(const Product& x, Range rows) {
  constexpr int64_t floats = 1 << 12;
  constexpr int together = lanes < 8 ? lanes : 8;  // columns of C
  float c_turned[floats];
  const int64_t step = floats / x.n / lanes * lanes;
  Product y = turned(x);
  const bool stream = streams(y);
  y.c = c_turned;
  y.residual = nullptr;
  y.activation = Activation::none;
  for (int64_t i = rows.begin; i < rows.end; i += step) {
    const int64_t n = least(step, rows.end - i);
    y.b = x.a + i;
    y.c_row = round_up(n, lanes);
    y.bias = x.row_bias ? x.row_bias + i : nullptr;
    product_tiles(y, stream, {0, x.n}, {0, n});
    float* c = x.c + i * x.c_row;
    if (x.residual) {
      const float* residual = x.residual + i * x.c_row;
      for (int64_t r = 0; r < n; ++r) {
        for (int64_t j = 0; j < x.n; ++j) c[r * x.c_row + j] = residual[r * x.c_row + j] + c_turned[j * y.c_row + r];
      }
    } else if (x.n <= 2) {
      turn<2>(c_turned, y.c_row, x.n, n, c, x.c_row);
    } else if (x.n <= 4) {
      turn<4>(c_turned, y.c_row, x.n, n, c, x.c_row);
    } else {
      for (int64_t j = 0; j < x.n; j += together)
        turn<together>(c_turned + j * y.c_row, y.c_row, least(together, x.n - j), n, c + j, x.c_row);
    }
    if (x.activation != Activation::none) activate(x.activation, c, x.c_row, n, x.n);
  }
}

// --- dot products --------------------------------------------------------------------------------------------------

// Steps of k per block of dot products: a tile's rows of A, 6 x 1024 floats, 24 KB, stay in L1 while B goes by.
constexpr int64_t dot_k_block = 1024;
// Room for the sums of any tile.
constexpr int64_t most_dots = round_up(dot_rows * most_dot_columns, lanes);

// One element of C, or Four, from their sums on: alpha sum (+ R) (+ bias).
template <class T>
inline void finish_dots(const Product& x, const float* sum, const float* residual, const float* bias,
                        const float* row_bias, float* c) {
  T value = x.alpha * load_value<T>(sum);
  if (residual) value += load_value<T>(residual);
  if (bias) value += load_value<T>(bias);
  if (row_bias) value += *row_bias;
  store_value(c, value);
}

inline void product_dots(const Product& x, Range rows, Range columns) {
  const float* b = x.b + columns.begin * x.b_col;
  int64_t b_column = x.b_col;
  const bool in_rows = x.b_row != 1;  // columns of B are wanted in one piece
  NearSpace turned(in_rows ? columns.size() * x.k + slack : 0);
  if (in_rows) {
    if (x.b_row != columns.size() || !pack_short_rows(b, x.b_row, x.k, turned.floats(), x.k))
      pack_transposed(b, x.b_row, x.k, columns.size(), turned.floats(), x.k);
    b = turned.floats(), b_column = x.k;
  }
  const int64_t height = equal_blocks(rows.size(), dot_rows);
  const int64_t k_step = equal_blocks(x.k, dot_k_block);
  const int64_t width = dot_columns_for(int(height));
  float sum[most_dots];
  DotTile t;
  for (int64_t l = 0; l < width; ++l) t.b_column[l] = l * b_column;
  t.a_row = x.a_row;
  for (int64_t i = rows.begin; i < rows.end; i += height) {
    const int64_t tile_rows = least(height, rows.end - i);
    int64_t p = 0;
    do {
      t.k = least(k_step, x.k - p);
      t.a = x.a + i * x.a_row + p;
      const bool last = p + t.k == x.k;
      const float* row_bias = last ? x.row_bias : nullptr;
      const float* bias = last ? x.bias : nullptr;
      for (int64_t j = columns.begin; j < columns.end; j += width) {
        const int64_t tile_columns = least(width, columns.end - j);
        t.b = b + (j - columns.begin) * b_column + p;
        dot_kernel_for(tile_rows, tile_columns)(t, sum);
        // Rows that follow each other, and are treated alike, are as good as one.
        const bool as_one = x.c_row == tile_columns && !bias && !row_bias;
        const int64_t row_sums = as_one ? tile_rows * tile_columns : tile_columns;
        for (int64_t r = 0; r < (as_one ? 1 : tile_rows); ++r) {
          float* c = x.c + (i + r) * x.c_row + j;
          const float* residual = p > 0 ? c : x.residual ? x.residual + (i + r) * x.c_row + j : nullptr;
          const float* of_row = row_bias ? row_bias + i + r : nullptr;
          const auto finish = [&](auto one, int64_t l) {
            finish_dots<decltype(one)>(x, sum + r * tile_columns + l, residual ? residual + l : nullptr,
                                       bias ? bias + j + l : nullptr, of_row, c + l);
          };
          int64_t l = 0;
          if (as_one || tile_columns % 4 == 0) {  // as the sums were stored: other loads would wait for memory
            for (; l + 4 <= row_sums; l += 4) finish(Four(), l);
          }
          for (; l < row_sums; ++l) finish(float(), l);
        }
      }
      p += t.k;
    } while (p < x.k);
    if (x.activation != Activation::none)
      activate(x.activation, x.c + i * x.c_row + columns.begin, x.c_row, tile_rows, columns.size());
  }
}

// --- the choice ----------------------------------------------------------------------------------------------------

enum class Way {
  tiles,   // product_tiles
  row,     // product_row
  thin,    // product_thin
  turned,  // product_turned
  dots,    // product_dots
  blocks,  // product_block
};

// By estimates in cycles: two multiply-adds of whole registers in each, five for turning a register of B, some for each
// sum of lanes.
inline Way way_of(const Product& x) {
  if (x.b_col == 1 && x.k <= 8 && x.m <= max_rows) return Way::tiles;  // the smallest are not worth an estimate
  if (is_row(x)) return Way::row;
  constexpr int64_t never = INT64_MAX;
  const bool columns_of_b = x.b_col != 1, dot_columns = x.b_row == 1 && (columns_of_b || x.n == 1);
  const int64_t across = (x.n + lanes - 1) / lanes, turning = across * x.k * 5;
  // A tile of less than eight sums waits for them.
  const bool thin = is_thin(x);
  const int64_t tiles =
      thin ? x.m * (x.k * across + 6) / 2 : most(x.m * across, 8) * (x.k / 2 + 2) + (columns_of_b ? turning : 0);
  int64_t turned = never, dots = never;
  if (x.a_row == 1 && x.n <= most_turned && (columns_of_b || x.m > x.n)) {
    const int64_t to_turn = x.n <= 8 ? 30 : 20 + (x.n + 7) / 8 * 40;  // lanes rows of C
    turned = 20 + (x.m + lanes - 1) / lanes * (most(x.n, 8) * x.k / 2 + to_turn);
  }
  if (x.a_col == 1 && (dot_columns || x.n <= lanes / 2)) {
    const int64_t to_columns = dot_columns ? 0 : x.n <= 4 && x.b_row == x.n ? x.n * x.k / 4 : across * x.k * 3;
    // These go through B once for every few rows: it should stay in the caches.
    if (x.m <= 2 * dot_rows || x.n * x.k <= 1 << 18) dots = x.m * x.n * (x.k / (2 * lanes) + 3) + to_columns;
  }
  if (turned < dots && turned * 10 < tiles * 9) return Way::turned;
  if (dots < tiles) return Way::dots;
  if (thin) return Way::thin;
  if (streams(x)) return Way::tiles;
  if (x.k <= 16 || (x.k <= k_block && x.n * x.k <= 1 << 13 && x.m * x.n * x.k <= 1 << 18)) return Way::tiles;
  return Way::blocks;
}

// A column C is as good as a row, and a row fills the lanes: such a product is turned as a whole.
inline bool is_column(const Product& x) { return x.n == 1 && x.m > 1 && x.c_row == 1; }

inline Product row_of(const Product& x) { return turned(x); }

// Whether each sum runs in the order of a tile's, so that a B packed in panels changes nothing but the time.
inline bool tile_by_tile(const Product& x) {
  const Product& y = is_column(x) ? row_of(x) : x;
  const Way way = way_of(y);
  return way == Way::blocks || (way == Way::tiles && !streams(y));
}

inline void product_part(const Product& x, Way way, Range rows, Range columns) {
  if (way == Way::tiles) product_tiles(x, streams(x), rows, columns);
  if (way == Way::row) product_row(x, columns);
  if (way == Way::thin) product_thin(x, rows);
  if (way == Way::turned) product_turned(x, rows);
  if (way == Way::dots) product_dots(x, rows, columns);
}

// Tiles jump from row to row; so a processor does not foresee what they read, and brings line after line from afar as
// they ask for it. It foresees two streams, and brings them several times as fast.
constexpr int64_t far_floats = 1 << 20;  // 4 MB: more than comes from L2
inline bool in_one_piece(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  return (column == 1 && row == columns) || (row == 1 && column == rows);
}
inline void read_both(const float* a, int64_t a_size, const float* b, int64_t b_size) {
  for (int64_t i = 0; i < most(a_size, b_size); i += cache_line) {
    if (i < a_size) asm volatile("" ::"r"(a[i]));
    if (i < b_size) asm volatile("" ::"r"(b[i]));
  }
}

// Whether it took the product upon itself.
inline bool multiply_small(const Product& x, int64_t batch, int64_t a_next, int64_t b_next, int64_t c_next) {
  const Way way = way_of(x);
  if (way == Way::blocks) return false;
  // What is stored takes time, too, and so does what is read, whatever the rows that share it. Of less than three
  // tasks' work, handing over would cost what it saves.
  const int64_t work = most(x.m, 3) * x.n * most(x.k, 8);
  if (batch == 1 && (work < 3 * task_work || num_threads() == 1)) {
    product_part(x, way, {0, x.m}, {0, x.n});
    return true;
  }
  // Where the batch leaves too few tasks, products are cut into pieces that are still worth a task: rows of C if there
  // are enough, as these lie together.
  int64_t m = x.m, n = x.n;
  const int64_t pieces = num_threads() == 1 ? 1 : least(work / task_work, 2 * num_threads() / batch);
  if (pieces > 1) {
    if (way == Way::turned || way == Way::thin)
      m = round_up(blocks_of(m, pieces), 4 * lanes);
    else if (m > n || m >= 4 * max_rows)
      m = round_up(blocks_of(m, pieces), max_rows);
    else
      n = round_up(blocks_of(n, pieces), way == Way::dots ? most_dot_columns : 4 * lanes);
  }
  if (way == Way::tiles && x.b_col != 1 && batch == 1 && m < x.m) {  // packed once, not in every task
    Product y = x;
    y.b_row = round_up(x.n, lanes), y.b_col = 1;
    const Space packed(y.b_row * x.k);
    pack_panel(x, 0, x.n, 0, x.k, packed.floats());
    y.b = packed.floats();
    return multiply_small(y, 1, 0, 0, 0);
  }
  const int64_t m_tasks = blocks_of(x.m, m), n_tasks = blocks_of(x.n, n), tasks = m_tasks * n_tasks;
  const bool from_afar = tasks == 1 && in_one_piece(x.m, x.k, x.a_row, x.a_col) && a_next == x.m * x.k &&
                         in_one_piece(x.k, x.n, x.b_row, x.b_col) && b_next == x.k * x.n &&
                         batch * (a_next + b_next) >= far_floats;
  parallel_for(batch * tasks, most(1, task_work / most(1, work / tasks)), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t item = task / tasks, i = task % tasks / n_tasks * m, j = task % n_tasks * n;
      Product one = x;
      one.a += item * a_next, one.b += item * b_next, one.c += item * c_next;
      if (x.residual) one.residual += item * c_next;
      if (from_afar) read_both(one.a, a_next, one.b, b_next);
      product_part(one, way, {i, least(x.m, i + m)}, {j, least(x.n, j + n)});
    }
  });
  return true;
}
