// Products of float matrices, C = alpha A B (+ R) (+ bias), in the manner of BLIS (Van Zee and van de Geijn
// 2015): loops over blocks that fit the caches, around a micro-kernel whose tile of C stays in registers.
//
// Included inside the namespace of an instruction set, after micro_kernels.inl. Every element of C is summed over k in
// the same order whatever tile it falls into, in blocks of k that depend on k alone, so that results depend neither on
// the number of threads nor on how the work was cut.

// --- packing -------------------------------------------------------------------------------------------------------

// Rows per block: the packed block of A, m_block x k_block floats, takes 448 KB of L2; B is read once per block.
constexpr int64_t m_block = 448;
// Columns per block: how often a packed block of A is used again: packing costs about 1/n_block of the work.
constexpr int64_t n_block = 2048;
// Floats of B that are packed for all tasks at a time: 16 MB, of L3 or memory, each read once per block of rows.
constexpr int64_t shared_floats = 1 << 22;
// A B from memory is not read panel by panel, lines from thousands of pages: blocks of 256 columns, 256 KB of L2, are
// copied along their rows first, to rows so long that their lines fall into all sets of L1.
constexpr int64_t near_columns = 256, near_row = near_columns + 16;
inline int64_t near_block(int64_t tile_columns) { return near_columns / tile_columns * tile_columns; }
constexpr int64_t far_b = 1 << 22;     // floats, 16 MB
constexpr int64_t few_near_rows = 18;  // of A, for which a copy does not pay
// Packing writes whole registers; the last may reach this far beyond its block.
constexpr int64_t slack = lanes;

// pack_transposed of `rows` rows, no more than a register holds, and as many steps.
template <int rows>
inline void pack_transposed_block(const float* from, int64_t from_row, float* to, int64_t to_row) {
  Vec r[lanes];
  GRADUS_UNROLL
  for (int i = 0; i < lanes; ++i) r[i] = i < rows ? load(from + i * from_row) : Vec(0.0);
  transpose(r);
  GRADUS_UNROLL
  for (int i = 0; i < lanes; ++i) store(to + i * to_row, r[i]);
}

// to[p * to_row + i] = from[i * from_row + p] for i < rows and p < k, rows <= to_row. Whole registers are written,
// so that what exceeds to_row lies under the next step's first rows: of each block of steps these come last.
inline void pack_transposed(const float* from, int64_t from_row, int64_t rows, int64_t k, float* to, int64_t to_row) {
  for (int64_t p = 0; p < k; p += lanes) {
    const int64_t steps = least(lanes, k - p);
    for (int64_t first = (rows - 1) / lanes * lanes; first >= 0; first -= lanes) {
      const float* at = from + first * from_row + p;
      if (steps == lanes && rows - first >= lanes) {
        pack_transposed_block<lanes>(at, from_row, to + p * to_row + first, to_row);
        continue;
      }
      if (steps == lanes && rows - first == max_rows % lanes) {
        pack_transposed_block<max_rows % lanes>(at, from_row, to + p * to_row + first, to_row);
        continue;
      }
      Vec r[lanes];
      for (int i = 0; i < lanes; ++i) r[i] = first + i < rows ? load(at + i * from_row, steps) : Vec(0.0);
      transpose(r);
      for (int64_t i = 0; i < steps; ++i) store(to + (p + i) * to_row + first, r[i]);
    }
  }
}

// to[p * to_row + i] = from[p * from_row + i] for i < columns, and 0 for the rest of the last register of to_row.
inline void pack_rows(const float* from, int64_t from_row, int64_t columns, int64_t k, float* to, int64_t to_row) {
  const int64_t whole = columns / lanes * lanes;
  const int64_t rest = columns - whole;
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t i = 0; i < whole; i += lanes) store(to + p * to_row + i, load(from + p * from_row + i));
    if (whole < columns)
      store(to + p * to_row + whole, load(from + p * from_row + whole, rest), least(lanes, to_row - whole));
  }
}

// --- blocks of a product -------------------------------------------------------------------------------------------

// C (m, n) = activation(alpha A B (+ R) (+ bias)), A (m, k), B (k, n). One of a_row and a_col is 1, one of
// b_row and b_col, and c has unit stride along n.
struct Product {
  int64_t m, n, k;
  const float* a;
  const float* b;
  float* c;
  int64_t a_row, a_col, b_row, b_col, c_row;
  float alpha = 1;
  const float* residual = nullptr;  // R (m, n), laid out as C, which it may be; or null
  const float* bias = nullptr;      // (n), or null
  const float* row_bias = nullptr;  // (m), or null
  Activation activation = Activation::none;
};

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// How a product is computed, and how it is cut into tasks.
struct Plan {
  bool pack_a, pack_b;
  bool along_rows;  // tiles follow the rows of C, not the panels of B: where sums are short, C is all that counts
  bool near_b;      // blocks of B are copied as they lie before they are used
  int64_t m, n;     // rows and columns of C per task
  int64_t m_tasks, n_tasks;
  int64_t space;   // floats of work space per task
  int64_t n_pass;  // columns of B that are packed for all tasks before they begin; 0: each task packs its own
};

template <Unary op>
inline void activate(float* c, int64_t c_row, int64_t rows, int64_t columns) {
  const Vec unused(0.0);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; j += lanes) {
      const int64_t m = least(lanes, columns - j);
      float* x = c + i * c_row + j;
      store(x, apply<op>(load(x, m), unused, unused), m);
    }
  }
}

inline void activate(Activation activation, float* c, int64_t c_row, int64_t rows, int64_t columns) {
  if (activation == Activation::relu) activate<Unary::relu>(c, c_row, rows, columns);
  if (activation == Activation::gelu) activate<Unary::gelu>(c, c_row, rows, columns);
  if (activation == Activation::gelu_tanh) activate<Unary::gelu_tanh>(c, c_row, rows, columns);
}

// pack_transposed of rows of k numbers that follow each other, with 0 up to to_row; which ones to bring together a
// compiler finds by itself.
template <int k>
inline void pack_short_rows(const float* from, int64_t rows, float* to, int64_t to_row) {
  for (int64_t i = 0; i < rows; ++i) {
    GRADUS_UNROLL
    for (int p = 0; p < k; ++p) to[p * to_row + i] = from[i * k + p];
  }
  for (int64_t i = rows; i < to_row; ++i) {
    for (int p = 0; p < k; ++p) to[p * to_row + i] = 0;
  }
}

// Whether the rows were so short that it was done.
inline bool pack_short_rows(const float* from, int64_t k, int64_t rows, float* to, int64_t to_row) {
  if (k == 2) pack_short_rows<2>(from, rows, to, to_row);
  if (k == 3) pack_short_rows<3>(from, rows, to, to_row);
  if (k == 4) pack_short_rows<4>(from, rows, to, to_row);
  return k >= 2 && k <= 4;
}

// Packs the panel of B at columns [j, j + columns) and rows [p, p + steps); its rows then follow each other.
inline void pack_panel(const Product& x, int64_t j, int64_t columns, int64_t p, int64_t steps, float* to) {
  const float* b = x.b + j * x.b_col + p * x.b_row;
  const int64_t to_row = round_up(columns, lanes);
  if (x.b_col == 1) return pack_rows(b, x.b_row, columns, steps, to, to_row);
  if (x.b_col == steps && pack_short_rows(b, steps, columns, to, to_row)) return;
  for (int64_t v = 0; v < columns; v += lanes) {
    pack_transposed(b + v * x.b_col, x.b_col, least(lanes, columns - v), steps, to + v, to_row);
  }
}

// Packs the block of A at these rows and columns [p, p + steps), in strips of `height` rows; the columns of a strip
// then follow each other.
inline void pack_strips(const Product& x, Range rows, int64_t height, int64_t p, int64_t steps, float* to) {
  const int64_t together = x.a_col == 1 ? steps : 16;  // columns; where A lies in columns, one is read in one go
  for (int64_t s = 0; s < steps; s += together) {
    for (int64_t i = rows.begin; i < rows.end; i += height) {
      const int64_t strip_rows = least(height, rows.end - i), columns = least(together, steps - s);
      const float* from = x.a + i * x.a_row + (p + s) * x.a_col;
      float* strip = to + (i - rows.begin) * steps + s * strip_rows;
      if (x.a_col == 1)
        pack_transposed(from, x.a_row, strip_rows, columns, strip, strip_rows);
      else
        pack_rows(from, x.a_col, strip_rows, columns, strip, strip_rows);
    }
  }
}

inline int64_t k_step_of(const Product& x) { return x.k ? equal_blocks(x.k, k_block) : 1; }

// Some columns of B packed for all tasks: for each block of k one panel after another.
struct SharedPanels {
  static constexpr int64_t width = vectors_for(max_rows) * lanes;
  Range columns;
  float* data;

  int64_t panels() const { return blocks_of(columns.size(), width); }
  float* panel(int64_t p, int64_t steps, int64_t j) const {
    return data + (p * panels() + (j - columns.begin) / width * steps) * width;
  }
  // Several panels are packed together, some rows at a time: where B lies in rows, a row is read in one go.
  void pack(const Product& x) const {
    constexpr int64_t together = 8, rows = 16;
    const int64_t groups = blocks_of(panels(), together), k_step = k_step_of(x);
    parallel_for(groups * blocks_of(x.k, k_step), 1, [&](int64_t begin, int64_t end) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t p = task / groups * k_step, steps = least(k_step, x.k - p);
        const int64_t first = columns.begin + task % groups * together * width;
        const int64_t last = least(columns.end, first + together * width);
        for (int64_t s = 0; s < steps; s += rows) {
          for (int64_t j = first; j < last; j += width) {
            const int64_t n = least(width, last - j);
            pack_panel(x, j, n, p + s, least(rows, steps - s), panel(p, steps, j) + s * round_up(n, lanes));
          }
        }
      }
    });
  }
};

// What the tile at row i and column j of C brings into L2 for those that follow: where A lies as it is, the next tile's
// rows; where B was packed for all tasks, a part of the next panel; where B lies as it is, lines of the next panel,
// of which the first tiles of a panel bring one for each row.
inline void look_ahead(const Product& x, const Plan& plan, bool shared, Range rows, Range columns, int64_t height,
                       int64_t width, int64_t i, int64_t j, int64_t p, Tile& t) {
  const int64_t tile = (i - rows.begin) / height;
  t.ahead = nullptr;
  t.ahead_step = 0;
  if (!plan.pack_a && x.a_col == 1 && x.a_row == t.k && j == columns.begin) {
    t.ahead_step = 2 * cache_line;  // processors fetch lines in pairs
    t.ahead = t.a + height * x.a_row;
  } else if (shared) {
    t.ahead_step = most(1, 2 * width * height / rows.size());  // twice, as the last steps of a tile bring nothing
    if (tile * t.ahead_step < 2 * width) t.ahead = t.b + width * t.k + tile * t.ahead_step * t.k / 2;
  } else if (plan.near_b) {  // the next block, a line of each row for each tile
    const int64_t block = near_block(width), in_block = (j - columns.begin) % block, next = j - in_block + block;
    const int64_t line = (in_block / width * blocks_of(rows.size(), height) + tile) * cache_line;
    if (line < block && next + line < columns.end) {
      t.ahead_step = x.b_row;
      t.ahead = x.b + p * x.b_row + next + line;
    }
  } else if (!plan.pack_b && tile * cache_line < width && j + width + tile * cache_line < columns.end) {
    t.ahead_step = x.b_row;
    t.ahead = t.b + width + tile * cache_line;
  }
}

// The part of C in these rows and columns, tile by tile.
inline void product_block(const Product& x, const Plan& plan, const SharedPanels* shared, Range rows, Range columns,
                          float* space) {
  const int64_t height = equal_blocks(rows.size(), max_rows);
  const int64_t width = shared ? SharedPanels::width : tile_width(height, columns.size());
  const int64_t k_step = k_step_of(x);
  float* packed_a = space;
  float* packed_b = space + (plan.pack_a ? round_up(rows.size() * k_step + slack, lanes) : 0);
  int64_t p = 0;
  do {  // block of k; one even if k is 0
    const int64_t steps = least(k_step, x.k - p);
    const bool last = p + steps == x.k;
    Tile t;
    t.k = steps;
    t.c_row = x.c_row;
    t.alpha = x.alpha;
    if (plan.pack_a) pack_strips(x, rows, height, p, steps, packed_a);
    const auto take_panel = [&](int64_t j) {
      t.columns = least(width, columns.end - j);
      t.bias = last && x.bias ? x.bias + j : nullptr;
      t.b = x.b + j * x.b_col + p * x.b_row;
      t.b_step = x.b_row;
      if (shared) {
        t.b = shared->panel(p, steps, j);
        t.b_step = round_up(t.columns, lanes);
      } else if (plan.near_b) {
        const int64_t block = near_block(width), in_block = (j - columns.begin) % block;
        if (in_block == 0) pack_rows(t.b, x.b_row, least(block, columns.end - j), steps, packed_b, near_row);
        t.b = packed_b + in_block;
        t.b_step = near_row;
      } else if (plan.pack_b) {
        pack_panel(x, j, t.columns, p, steps, packed_b);
        t.b = packed_b;
        t.b_step = round_up(t.columns, lanes);
      }
    };
    const auto compute_tile = [&](int64_t i, int64_t j) {
      const int64_t tile_rows = least(height, rows.end - i);
      const bool unit_rows = plan.pack_a || x.a_row == 1;
      t.a = plan.pack_a ? packed_a + (i - rows.begin) * steps : x.a + i * x.a_row + p * x.a_col;
      t.a_row = x.a_row;
      t.a_step = plan.pack_a ? tile_rows : x.a_col;
      t.c = x.c + i * x.c_row + j;
      t.residual = p > 0 ? t.c : x.residual ? x.residual + i * x.c_row + j : nullptr;
      t.row_bias = last && x.row_bias ? x.row_bias + i : nullptr;
      MicroKernel kernel;
      if (plan.pack_b)
        kernel = unit_rows ? micro_kernel_for<true, BRows::whole>(tile_rows, t.columns)
                           : micro_kernel_for<false, BRows::whole>(tile_rows, t.columns);
      else
        kernel = unit_rows ? micro_kernel_for<true, BRows::partial>(tile_rows, t.columns)
                           : micro_kernel_for<false, BRows::partial>(tile_rows, t.columns);
      look_ahead(x, plan, shared, rows, columns, height, width, i, j, p, t);
      kernel(t);
      if (last) activate(x.activation, t.c, t.c_row, tile_rows, t.columns);
    };
    if (plan.along_rows) {
      for (int64_t i = rows.begin; i < rows.end; i += height) {
        for (int64_t j = columns.begin; j < columns.end; j += width) {
          take_panel(j);
          compute_tile(i, j);
        }
      }
    } else {
      for (int64_t j = columns.begin; j < columns.end; j += width) {
        take_panel(j);
        for (int64_t i = rows.begin; i < rows.end; i += height) compute_tile(i, j);
      }
    }
    p += steps;
  } while (p < x.k);
}

// --- plans and tasks -----------------------------------------------------------------------------------------------

constexpr int64_t task_work = 1 << 17;  // multiply-adds that are worth handing to another thread, about 2 us

inline Plan plan_of(const Product& x, int64_t batch) {
  Plan plan;
  const bool long_sums = x.k > 16;  // where they are short, C takes the time, and packing does not pay
  plan.pack_b = x.b_col != 1 || (long_sums && x.m > 256 && (x.m > 512 || x.n * x.k > 1 << 17));
  // Packing A costs about 1/n of the work, and saves little where A lies in rows that can all be in L1 at a time: not
  // where these are a multiple of 4 KB apart, which fall into the same lines.
  const bool rows_in_cache = x.a_col == 1 && x.a_row % 1024 != 0;
  plan.pack_a = long_sums && x.m > max_rows && x.n >= (rows_in_cache ? 800 : 128);
  plan.along_rows = !plan.pack_b && !long_sums;
  plan.near_b = !plan.pack_b && long_sums && x.m > few_near_rows && x.n >= near_columns && x.n * x.k > far_b;
  // Cut further where that leaves a thread without a task, into pieces that are still worth one and large enough to
  // pay for their packing and for reading B; and so that threads have equally many, unless there are many anyway. Each
  // cut makes A or B be packed, or read from afar, once more: one task for each thread is all that a small product pays
  // for.
  const int64_t threads = num_threads();
  int64_t m_parts = blocks_of(x.m, m_block), n_parts = blocks_of(x.n, n_block);
  const auto tasks = [&] { return batch * m_parts * n_parts; };
  while (tasks() < threads && x.m * x.n * x.k >= 2 * task_work * m_parts * n_parts) {
    if (x.m > 8 * max_rows * m_parts)
      m_parts *= 2;
    else if (x.n > 4 * lanes * n_parts)
      n_parts *= 2;
    else
      break;
  }
  if (tasks() < 4 * threads && tasks() % threads != 0 && x.m > 8 * max_rows * m_parts)
    m_parts = round_up(m_parts, threads);
  plan.m = blocks_of(x.m, m_parts);
  plan.n = n_parts == 1 ? x.n : round_up(blocks_of(x.n, n_parts), lanes);
  plan.m_tasks = blocks_of(x.m, plan.m);
  plan.n_tasks = blocks_of(x.n, plan.n);
  plan.n_pass = 0;
  if (plan.pack_b && batch == 1 && plan.m_tasks > 1) {
    plan.n = round_up(plan.n, SharedPanels::width);
    plan.n_pass = most(1, shared_floats / most(1, plan.n * x.k)) * plan.n;
  }
  plan.space = 0;
  const int64_t k_step = k_step_of(x);
  if (plan.pack_a) plan.space += round_up(plan.m * k_step + slack, lanes);
  if (plan.pack_b && !plan.n_pass) plan.space += k_step * most_vectors * lanes;
  if (plan.near_b) plan.space += k_step * near_row;
  return plan;
}

// Work space: floats (or words of the same size), given back at the end of the scope.
class Space {
 public:
  explicit Space(int64_t floats)
      : bytes_(size_t(floats) * sizeof(float)), data_(bytes_ ? allocate(bytes_) : nullptr) {}
  ~Space() { deallocate(data_, bytes_); }
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;
  float* floats() const { return static_cast<float*>(data_); }
  int32_t* words() const { return static_cast<int32_t*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

// The columns of C for each of `batch` products, which lie so far from each other.
inline void run_tasks(const Product& x, const Plan& plan, const SharedPanels* shared, Range columns, int64_t batch,
                      int64_t a_next, int64_t b_next, int64_t c_next) {
  const int64_t n_tasks = blocks_of(columns.size(), plan.n), tasks = plan.m_tasks * n_tasks;
  const int64_t work = most(1, plan.m * plan.n * x.k);
  parallel_for(batch * tasks, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const Space space(plan.space);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t item = task / tasks, row = task % tasks / n_tasks * plan.m;
      const int64_t column = columns.begin + task % n_tasks * plan.n;
      Product one = x;
      one.a += item * a_next;
      one.b += item * b_next;
      one.c += item * c_next;
      if (x.residual) one.residual += item * c_next;
      const Range mine{column, least(columns.end, column + plan.n)};
      const Range rows{row, least(x.m, row + plan.m)};
      product_block(one, plan, shared, rows, mine, space.floats());
    }
  });
}

// In gemm_small.inl:
inline bool is_column(const Product& x);
inline Product row_of(const Product& x);
// Whether it took the product upon itself.
inline bool multiply_small(const Product& x, int64_t batch, int64_t a_next, int64_t b_next, int64_t c_next);

// `batch` products, whose matrices lie so far from each other.
inline void multiply(const Product& x, int64_t batch, int64_t a_next, int64_t b_next, int64_t c_next) {
  if (is_column(x)) return multiply(row_of(x), batch, b_next, a_next, c_next);
  if (multiply_small(x, batch, a_next, b_next, c_next)) return;
  const Plan plan = plan_of(x, batch);
  if (!plan.n_pass) {
    return run_tasks(x, plan, nullptr, {0, x.n}, batch, a_next, b_next, c_next);
  }
  const int64_t pass = least(plan.n_pass, round_up(x.n, SharedPanels::width));
  const Space packed(pass * x.k);
  for (int64_t j = 0; j < x.n; j += pass) {
    const SharedPanels shared{{j, least(x.n, j + pass)}, packed.floats()};
    shared.pack(x);
    run_tasks(x, plan, &shared, shared.columns, 1, 0, 0, 0);
  }
}

// What the kernel was given, without its batch.
inline Product product_of(const Matmul& args) {
  Product x;
  x.m = args.c.shape[1];
  x.n = args.c.shape[2];
  x.k = args.a.shape[2];
  x.a = args.a.as<float>();
  x.b = args.b.as<float>();
  x.c = args.c.as<float>();
  // Where a dimension has one element its stride means nothing, and may be taken for 1.
  x.a_row = x.m == 1 ? 1 : args.a.strides[1];
  x.a_col = x.k == 1 ? 1 : args.a.strides[2];
  x.b_row = x.k == 1 ? 1 : args.b.strides[1];
  x.b_col = x.n == 1 ? 1 : args.b.strides[2];
  x.c_row = args.c.strides[1];
  x.alpha = float(args.alpha);
  x.residual = static_cast<const float*>(args.residual);
  x.bias = static_cast<const float*>(args.bias);
  x.activation = args.activation;
  return x;
}

inline void matmul(const Matmul& args) {
  if (args.c.numel() == 0) return;
  multiply(product_of(args), args.c.shape[0], args.a.strides[0], args.b.strides[0], args.c.strides[0]);
}
