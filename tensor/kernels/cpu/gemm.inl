// Products of float matrices, C = alpha A B (+ C) (+ bias), in the manner of BLIS (Van Zee and van de Geijn
// 2015): loops over blocks that fit the caches, around a micro-kernel whose tile of C stays in registers.
//
// Included inside the namespace of an instruction set, after its pack (vec_ISA.h) and gemm_ISA.inl, which
// gives the tile sizes and the shuffles. Every element of C is summed over k in the same order whatever tile
// it falls into, in blocks of k that depend on k alone, so that results depend neither on the number of
// threads nor on how the work was cut.

constexpr int lanes = Vec::lanes;
constexpr int64_t cache_line = 16;  // floats

// Loops over the registers of a tile must vanish, or the tile would lie in memory.
#ifdef __clang__
#define GRADUS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GRADUS_UNROLL _Pragma("GCC unroll 16")
#endif

// --- the micro-kernel ----------------------------------------------------------------------------------------------

// C (rows, columns) = alpha A B with A (rows, k) and B (k, columns).
struct Tile {
  const float* a;
  int64_t a_row, a_step;  // element (i, p) of A is a[i * a_row + p * a_step]
  const float* b;
  int64_t b_step;         // row p of B begins at b + p * b_step,
  const int32_t* b_rows;  // or, for convolutions, at b + b_rows[p]
  int64_t k;
  float* c;
  int64_t c_row;
  int64_t columns;
  float alpha = 1;
  bool accumulate = false;      // add to C rather than overwrite it
  const float* bias = nullptr;  // (columns), or null
};

enum class BRows {
  whole,    // all lanes of the last register may be read
  partial,  // nothing beyond `columns` may be read
  table,    // as `whole`, with the rows where b_rows says
};

// `unit_rows`: a_row is 1, as in packed blocks and transposed matrices.
template <int rows, int vectors, bool unit_rows, BRows mode>
void micro_kernel(const Tile& t) {
  constexpr int last = vectors - 1;
  const int64_t in_last = t.columns - last * lanes;
  const int64_t steps = t.k, a_row = t.a_row, a_step = t.a_step, b_step = t.b_step, c_row = t.c_row;
  const int32_t* b_rows = t.b_rows;
  const float* a = t.a;
  const float* b = t.b;
  float* to = t.c;
  Vec sum[rows][vectors];
  GRADUS_UNROLL
  for (int i = 0; i < rows; ++i) {
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) sum[i][v] = Vec(0.0);
  }
  GRADUS_UNROLL
  for (int i = 0; i < rows; ++i) {  // C comes from afar, and is wanted when the sums are done
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) __builtin_prefetch(to + i * c_row + v * lanes, 1);
  }
  for (int64_t p = 0; p < steps; ++p) {
    const float* row = mode == BRows::table ? b + b_rows[p] : b;
    Vec right[vectors];
    GRADUS_UNROLL
    for (int v = 0; v < last; ++v) right[v] = load(row + v * lanes);
    right[last] = mode == BRows::partial ? load(row + last * lanes, in_last) : load(row + last * lanes);
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) {
      Vec left = Vec(a[unit_rows ? i : i * a_row]);
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = fma(left, right[v], sum[i][v]);
    }
    a += a_step;
    b += b_step;
  }
  asm volatile("" ::: "memory");  // the rest of the tile is read now: no register holds it during the sums
  const Vec alpha = Vec(t.alpha);
  const float* added = t.bias;
  const bool accumulate = t.accumulate;
  GRADUS_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const int64_t m = v == last ? in_last : lanes;
    float* c = to + v * lanes;
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) sum[i][v] = alpha * sum[i][v];
    if (accumulate) {
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) sum[i][v] = sum[i][v] + load(c + i * c_row, m);
    }
    if (added) {
      const Vec bias = load(added + v * lanes, m);
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) sum[i][v] = sum[i][v] + bias;
    }
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) store(c + i * c_row, sum[i][v], m);
  }
}

using MicroKernel = void (*)(const Tile&);

template <bool unit_rows, BRows mode>
struct MicroKernels {
  MicroKernel of[max_rows][most_vectors] = {};

  template <int... r>
  constexpr explicit MicroKernels(std::integer_sequence<int, r...>) {
    (fill_row<r + 1>(std::make_integer_sequence<int, vectors_for(r + 1)>()), ...);
  }
  template <int rows, int... v>
  constexpr void fill_row(std::integer_sequence<int, v...>) {
    ((of[rows - 1][v] = micro_kernel<rows, v + 1, unit_rows, mode>), ...);
  }
};

// The micro-kernel for tiles of these sizes.
template <bool unit_rows, BRows mode>
inline MicroKernel micro_kernel_for(int64_t rows, int64_t columns) {
  constexpr BRows mode_used = mode == BRows::whole && masks_are_free ? BRows::partial : mode;
  static constexpr MicroKernels<unit_rows, mode_used> kernels{std::make_integer_sequence<int, max_rows>()};
  return kernels.of[rows - 1][(columns + lanes - 1) / lanes - 1];
}

// --- packing -------------------------------------------------------------------------------------------------------

// Steps of k per block: a panel of B, k_block x 32 floats, takes 48 KB (AVX2: x 16, 24 KB) and is read from
// L1 or L2 once per tile of rows, beside a strip of A of 14 x k_block floats, 21 KB (AVX2: 6 x, 9 KB).
constexpr int64_t k_block = 384;
// Rows per block: the packed block of A, m_block x k_block floats, takes 672 KB of L2; B is read once per block.
constexpr int64_t m_block = 448;
// Columns per block: how often a packed block of A is used again: packing costs about 1/n_block of the work.
constexpr int64_t n_block = 1024;
// Floats of B that are packed for all tasks at a time: 16 MB, of L3 or memory, each read once per block of rows.
constexpr int64_t shared_floats = 1 << 22;
// Packing writes whole registers; the last may reach this far beyond its block.
constexpr int64_t slack = lanes;

constexpr int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }
constexpr int64_t blocks_of(int64_t x, int64_t step) { return (x + step - 1) / step; }
constexpr int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
constexpr int64_t most(int64_t x, int64_t y) { return x > y ? x : y; }
// The size of equal blocks, none larger than `step`, that cover x > 0.
constexpr int64_t equal_blocks(int64_t x, int64_t step) { return blocks_of(x, blocks_of(x, step)); }

// to[p * to_row + i] = from[i * from_row + p] for i < rows and p < k, rows <= to_row. Whole registers are written,
// so that what exceeds to_row lies under the next step's first rows: of each block of steps these come last.
inline void pack_transposed(const float* from, int64_t from_row, int64_t rows, int64_t k, float* to, int64_t to_row) {
  for (int64_t p = 0; p < k; p += lanes) {
    const int64_t steps = least(lanes, k - p);
    for (int64_t first = (rows - 1) / lanes * lanes; first >= 0; first -= lanes) {
      const float* at = from + first * from_row + p;
      Vec r[lanes];
      for (int i = 0; i < lanes; ++i) r[i] = first + i < rows ? load(at + i * from_row, steps) : Vec(0.0);
      transpose(r);
      for (int64_t i = 0; i < steps; ++i) store(to + (p + i) * to_row + first, r[i]);
    }
  }
}

// to[p * to_row + i] = from[p * from_row + i] for i < columns, and 0 for the rest of the last register.
inline void pack_rows(const float* from, int64_t from_row, int64_t columns, int64_t k, float* to, int64_t to_row) {
  const int64_t whole = columns / lanes * lanes;
  const int64_t rest = columns - whole;
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t i = 0; i < whole; i += lanes) store(to + p * to_row + i, load(from + p * from_row + i));
    if (whole < columns) store(to + p * to_row + whole, load(from + p * from_row + whole, rest));
  }
}

// --- blocks of a product -------------------------------------------------------------------------------------------

// C (m, n) = activation(alpha A B (+ C) (+ bias)), A (m, k), B (k, n). One of a_row and a_col is 1, one of
// b_row and b_col, and c has unit stride along n.
struct Product {
  int64_t m, n, k;
  const float* a;
  const float* b;
  float* c;
  int64_t a_row, a_col, b_row, b_col, c_row;
  float alpha = 1;
  bool accumulate = false;
  const float* bias = nullptr;
  Activation activation = Activation::none;
};

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// How a product is computed, and how it is cut into tasks.
struct Plan {
  bool dots;  // by dot products of rows of A and columns of B
  bool pack_a, pack_b;
  int64_t m, n;  // rows and columns of C per task
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

// Packs the panel of B at columns [j, j + columns) and rows [p, p + steps); its rows then follow each other.
inline void pack_panel(const Product& x, int64_t j, int64_t columns, int64_t p, int64_t steps, float* to) {
  const float* b = x.b + j * x.b_col + p * x.b_row;
  const int64_t to_row = round_up(columns, lanes);
  if (x.b_col == 1) return pack_rows(b, x.b_row, columns, steps, to, to_row);
  for (int64_t v = 0; v < columns; v += lanes) {
    pack_transposed(b + v * x.b_col, x.b_col, least(lanes, columns - v), steps, to + v, to_row);
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

// The part of C in these rows and columns, tile by tile.
inline void product_block(const Product& x, const Plan& plan, const SharedPanels* shared, Range rows, Range columns,
                          float* space) {
  const int64_t height = equal_blocks(rows.size(), max_rows);
  const int64_t width = shared ? SharedPanels::width : vectors_for(int(height)) * lanes;
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
    t.accumulate = x.accumulate || p > 0;
    if (plan.pack_a) {
      for (int64_t i = rows.begin; i < rows.end; i += height) {
        const int64_t tile_rows = least(height, rows.end - i);
        float* to = packed_a + (i - rows.begin) * steps;
        if (x.a_col == 1)
          pack_transposed(x.a + i * x.a_row + p, x.a_row, tile_rows, steps, to, tile_rows);
        else
          pack_rows(x.a + i + p * x.a_col, x.a_col, tile_rows, steps, to, tile_rows);
      }
    }
    for (int64_t j = columns.begin; j < columns.end; j += width) {  // panel of B
      t.columns = least(width, columns.end - j);
      t.bias = last && x.bias ? x.bias + j : nullptr;
      t.b = x.b + j * x.b_col + p * x.b_row;
      t.b_step = x.b_row;
      if (shared) {
        t.b = shared->panel(p, steps, j);
        t.b_step = round_up(t.columns, lanes);
      } else if (plan.pack_b) {
        pack_panel(x, j, t.columns, p, steps, packed_b);
        t.b = packed_b;
        t.b_step = round_up(t.columns, lanes);
      }
      for (int64_t i = rows.begin; i < rows.end; i += height) {  // tile of C
        const int64_t tile_rows = least(height, rows.end - i);
        const bool unit_rows = plan.pack_a || x.a_row == 1;
        t.a = plan.pack_a ? packed_a + (i - rows.begin) * steps : x.a + i * x.a_row + p * x.a_col;
        t.a_row = x.a_row;
        t.a_step = plan.pack_a ? tile_rows : x.a_col;
        t.c = x.c + i * x.c_row + j;
        MicroKernel kernel;
        if (plan.pack_b)
          kernel = unit_rows ? micro_kernel_for<true, BRows::whole>(tile_rows, t.columns)
                             : micro_kernel_for<false, BRows::whole>(tile_rows, t.columns);
        else
          kernel = unit_rows ? micro_kernel_for<true, BRows::partial>(tile_rows, t.columns)
                             : micro_kernel_for<false, BRows::partial>(tile_rows, t.columns);
        if (shared) {  // brings in a part of the next panel, which follows this one
          const int64_t part = round_up(steps * width * height / rows.size(), cache_line);
          const float* next = t.b + steps * width + (i - rows.begin) / height * part;
          for (int64_t q = 0; q < part; q += cache_line) __builtin_prefetch(next + q, 0, 2);
        }
        kernel(t);
        if (last) activate(x.activation, t.c, t.c_row, tile_rows, t.columns);
      }
    }
    p += steps;
  } while (p < x.k);
}

// --- dot products ----------------------------------------------------------------------------------------- Where
// A has unit stride along its rows and B along its columns, k can fill the lanes and nothing need be packed.
// The sums of the lanes cost about two cycles for each element of C.

struct DotTile {
  const float* a;
  int64_t a_row;
  const float* b;
  int64_t b_column[dot_columns];  // where the columns begin, from b
  int64_t k;
  const int32_t* keep = nullptr;   // (k): lanes of B that count, where the tile has gaps
  int64_t parts = 1;               // the sums run over so many parts of length k,
  int64_t a_part = 0, b_part = 0;  // which lie so far from each other
};

// sum[i * columns + j] = row i of A times column j of B. With gaps, k is a multiple of lanes.
template <int rows, int columns, bool gaps>
void dot_kernel(const DotTile& t, float* sum) {
  Vec dot[round_up(rows * columns, lanes)];
  for (int i = 0; i < round_up(rows * columns, lanes); ++i) dot[i] = Vec(0.0);
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t part = 0; part < t.parts; ++part, a += t.a_part, b += t.b_part) {
    const int64_t whole = t.k / lanes * lanes;
    for (int64_t p = 0; p < whole; p += lanes) {
      Vec left[rows];
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) left[i] = load(a + i * t.a_row + p);
      GRADUS_UNROLL
      for (int j = 0; j < columns; ++j) {
        const float* column = b + t.b_column[j] + p;
        const Vec right = gaps ? load_where(column, t.keep + p) : load(column);
        GRADUS_UNROLL
        for (int i = 0; i < rows; ++i) dot[i * columns + j] = fma(left[i], right, dot[i * columns + j]);
      }
    }
    if (!gaps && whole < t.k) {
      const int64_t m = t.k - whole;
      Vec left[rows];
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) left[i] = load(a + i * t.a_row + whole, m);
      GRADUS_UNROLL
      for (int j = 0; j < columns; ++j) {
        const Vec right = load(b + t.b_column[j] + whole, m);
        GRADUS_UNROLL
        for (int i = 0; i < rows; ++i) dot[i * columns + j] = fma(left[i], right, dot[i * columns + j]);
      }
    }
  }
  GRADUS_UNROLL
  for (int i = 0; i < rows * columns; i += lanes) {
    Vec some[lanes];
    GRADUS_UNROLL
    for (int r = 0; r < lanes; ++r) some[r] = dot[i + r];
    store(sum + i, sums(some));
  }
}

using DotKernel = void (*)(const DotTile&, float*);

template <bool gaps>
struct DotKernels {
  DotKernel of[dot_rows][dot_columns] = {};

  template <int... r>
  constexpr explicit DotKernels(std::integer_sequence<int, r...>) {
    (fill_row<r + 1>(std::make_integer_sequence<int, dot_columns>()), ...);
  }
  template <int rows, int... j>
  constexpr void fill_row(std::integer_sequence<int, j...>) {
    ((of[rows - 1][j] = dot_kernel<rows, j + 1, gaps>), ...);
  }
};

template <bool gaps>
inline DotKernel dot_kernel_for(int64_t rows, int64_t columns) {
  static constexpr DotKernels<gaps> kernels{std::make_integer_sequence<int, dot_rows>()};
  return kernels.of[rows - 1][columns - 1];
}

// Steps of k per block of dot products: a tile's rows of A, 6 x 1024 floats, 24 KB, stay in L1 while B goes by.
constexpr int64_t dot_k_block = 1024;

inline void dot_block(const Product& x, Range rows, Range columns) {
  const int64_t height = equal_blocks(rows.size(), dot_rows);
  const int64_t k_step = x.k ? equal_blocks(x.k, dot_k_block) : 1;
  float sum[round_up(dot_rows * dot_columns, lanes)];
  for (int64_t i = rows.begin; i < rows.end; i += height) {
    const int64_t tile_rows = least(height, rows.end - i);
    int64_t p = 0;
    do {
      const int64_t steps = least(k_step, x.k - p);
      const bool last = p + steps == x.k;
      const bool accumulate = x.accumulate || p > 0;
      DotTile t;
      t.a = x.a + i * x.a_row + p;
      t.a_row = x.a_row;
      t.k = steps;
      for (int64_t j = columns.begin; j < columns.end; j += dot_columns) {
        const int64_t tile_columns = least(dot_columns, columns.end - j);
        t.b = x.b + j * x.b_col + p;
        for (int64_t l = 0; l < tile_columns; ++l) t.b_column[l] = l * x.b_col;
        dot_kernel_for<false>(tile_rows, tile_columns)(t, sum);
        for (int64_t r = 0; r < tile_rows; ++r) {
          float* c = x.c + (i + r) * x.c_row + j;
          for (int64_t l = 0; l < tile_columns; ++l) {
            float value = x.alpha * sum[r * tile_columns + l];
            if (accumulate) value += c[l];
            if (last && x.bias) value += x.bias[j + l];
            c[l] = value;
          }
        }
      }
      p += steps;
    } while (p < x.k);
    activate(x.activation, x.c + i * x.c_row + columns.begin, x.c_row, tile_rows, columns.size());
  }
}

// --- plans and tasks -----------------------------------------------------------------------------------------------

constexpr int64_t task_work = 1 << 17;  // multiply-adds that are worth handing to another thread, about 2 us

inline Plan plan_of(const Product& x, int64_t batch) {
  Plan plan;
  const bool columns_of_b = x.b_col != 1;
  plan.dots = x.a_col == 1 && x.b_row == 1 && (columns_of_b || x.n == 1) && (x.m <= x.k / 12 || x.n <= dot_columns);
  plan.pack_b = columns_of_b || x.m > 256;
  plan.pack_a = x.m > max_rows && x.n >= 128;
  plan.m = equal_blocks(x.m, m_block);
  plan.n = equal_blocks(x.n, n_block);
  // Cut further where that leaves too few tasks, into pieces that are still worth a task and large enough to
  // pay for their packing and for reading B.
  const int64_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
  for (;;) {
    plan.m_tasks = blocks_of(x.m, plan.m);
    plan.n_tasks = blocks_of(x.n, plan.n);
    if (batch * plan.m_tasks * plan.n_tasks >= wanted || plan.m * plan.n * x.k < 2 * task_work) break;
    if (plan.m > 8 * max_rows)
      plan.m = round_up((plan.m + 1) / 2, max_rows);
    else if (plan.n > 8 * lanes)
      plan.n = round_up((plan.n + 1) / 2, SharedPanels::width);
    else
      break;
  }
  plan.n_pass = 0;
  if (plan.pack_b && !plan.dots && batch == 1 && plan.m_tasks > 1) {
    plan.n = round_up(plan.n, SharedPanels::width);
    plan.n_pass = most(1, shared_floats / most(1, plan.n * x.k)) * plan.n;
  }
  const int64_t k_step = k_step_of(x);
  plan.space = (plan.pack_a ? round_up(plan.m * k_step + slack, lanes) : 0) +
               (plan.pack_b && !plan.n_pass ? k_step * most_vectors * lanes : 0);
  return plan;
}

// Work space: floats (or words of the same size), given back at the end of the scope.
class Space {
 public:
  explicit Space(int64_t floats) : bytes_(size_t(floats) * sizeof(float)), data_(allocate(bytes_)) {}
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
      const Range mine{column, least(columns.end, column + plan.n)};
      const Range rows{row, least(x.m, row + plan.m)};
      if (plan.dots)
        dot_block(one, rows, mine);
      else
        product_block(one, plan, shared, rows, mine, space.floats());
    }
  });
}

inline void matmul(const Matmul& args) {
  const int64_t batch = args.c.shape[0];
  Product x;
  x.m = args.c.shape[1];
  x.n = args.c.shape[2];
  x.k = args.a.shape[2];
  if (batch * x.m * x.n == 0) return;
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
  x.accumulate = args.accumulate;
  x.bias = static_cast<const float*>(args.bias);
  x.activation = args.activation;
  const Plan plan = plan_of(x, batch);
  if (!plan.n_pass) {
    return run_tasks(x, plan, nullptr, {0, x.n}, batch, args.a.strides[0], args.b.strides[0], args.c.strides[0]);
  }
  const int64_t pass = least(plan.n_pass, round_up(x.n, SharedPanels::width));
  const Space packed(pass * x.k);
  for (int64_t j = 0; j < x.n; j += pass) {
    const SharedPanels shared{{j, least(x.n, j + pass)}, packed.floats()};
    shared.pack(x);
    run_tasks(x, plan, &shared, shared.columns, 1, 0, 0, 0);
  }
}

inline void fill_products(KernelTable& table) { table.matmul = matmul; }
