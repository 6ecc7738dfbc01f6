// The innermost loops of products: tiles of C that stay in registers while their sums are made.
//
// Included inside the namespace of an instruction set, after its pack (vec_ISA.h) and gemm_ISA.inl, which gives the
// sizes of the tiles and the shuffles.

constexpr int lanes = Vec::lanes;
constexpr int64_t cache_line = 16;  // floats

constexpr int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }
constexpr int64_t blocks_of(int64_t x, int64_t step) { return (x + step - 1) / step; }
constexpr int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }
constexpr int64_t most(int64_t x, int64_t y) { return x > y ? x : y; }
// The size of equal blocks, none larger than `step`, that cover x > 0.
constexpr int64_t equal_blocks(int64_t x, int64_t step) { return x <= step ? x : blocks_of(x, blocks_of(x, step)); }

// Loops over the registers of a tile must vanish, or the tile would lie in memory.
#ifdef __clang__
#define GRADUS_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GRADUS_UNROLL _Pragma("GCC unroll 32")
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
  // What is wanted next, a line of it every `ahead_step` floats: brought into L2 meanwhile.
  const float* ahead = nullptr;
  int64_t ahead_step = 0;
  float alpha = 1;
  const float* residual = nullptr;  // what is added, laid out as C, which it may be; or null
  const float* bias = nullptr;      // (columns), or null
  const float* row_bias = nullptr;  // (rows), or null
};

enum class BRows {
  whole,    // all lanes of the last register may be read
  partial,  // nothing beyond `columns` may be read
  stream,   // nor here; the same rows of the tile to the right are wanted next
  table,    // as `whole`, with the rows where b_rows says
};

template <class V>
inline V load_as(const float* p) {
  if constexpr (V::lanes == Vec::lanes)
    return load(p);
  else
    return V::load(p);
}
template <class V>
inline V load_as(const float* p, int64_t n) {
  if constexpr (V::lanes == Vec::lanes)
    return load(p, n);
  else
    return V::load(p, n);
}

// V is a register, Vec or Half. `unit_rows`: a_row is 1, as in packed blocks and transposed matrices.
template <class V, int rows, int vectors, bool unit_rows, BRows mode>
void micro_kernel(const Tile& t) {
  constexpr int last = vectors - 1, size = V::lanes, vectors_per_line = int(cache_line) / size;
  const int64_t in_last = t.columns - last * size;
  const int64_t steps = t.k, a_row = t.a_row, a_step = t.a_step, b_step = t.b_step, c_row = t.c_row;
  const int32_t* b_rows = t.b_rows;
  const float* a = t.a;
  const float* b = t.b;
  float* to = t.c;
  V sum[rows][vectors];
  GRADUS_UNROLL
  for (int i = 0; i < rows; ++i) {
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) sum[i][v] = V(0.0);
  }
  const auto multiply = [&](int64_t p)
      __attribute__((always_inline)) {  // adds the product of column p of A and row p of B
    const float* row = mode == BRows::table ? b + b_rows[p] : b;
    if (mode == BRows::stream) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; v += vectors_per_line) __builtin_prefetch(row + (vectors + v) * size);
    }
    V right[vectors];
    GRADUS_UNROLL
    for (int v = 0; v < last; ++v) right[v] = load_as<V>(row + v * size);
    right[last] = mode == BRows::partial || mode == BRows::stream ? load_as<V>(row + last * size, in_last)
                                                                  : load_as<V>(row + last * size);
    if constexpr (rows > 1 && (rows <= 3 || lanes < 16)) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) hold(right[v]);
    }
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) {
      V left = V(a[unit_rows ? i : i * a_row]);
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = fma(left, right[v], sum[i][v]);
    }
    a += a_step;
    b += b_step;
  };
  // What comes from afar is asked for ahead of time, line by line: a processor has only a dozen under way, and stands
  // still when asked for more. First some of the next tiles' B or A, then C, shortly before the sums are done; earlier,
  // what streams by would push it out again.
  constexpr int64_t lines = rows * vectors, late = 16;  // steps
  const int64_t pause = steps >= 2 * lines + late ? 2 : 1, spread = pause * lines;
  int64_t p = 0;
  if (steps >= spread + late) {
    const float* ahead = t.ahead ? t.ahead : b;
    for (const int64_t until = steps - spread - late; p < until; ++p, ahead += t.ahead_step) {
      __builtin_prefetch(ahead, 0, 2);
      multiply(p);
    }
    const float* line = to;
    for (int i = 0; i < rows; ++i, line += c_row) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) {
        __builtin_prefetch(line + v * size);
        for (int64_t q = 0; q < pause; ++q) multiply(p++);
      }
    }
  } else if (steps > late) {
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(to + i * c_row + v * size);
    }
  }
  for (; p < steps; ++p) multiply(p);
  // The rest of the tile is read now, and where its rows lie is found as they are stored: no register holds either
  // during the sums.
  int64_t to_row = c_row;
  asm volatile("" : "+r"(to_row)::"memory");
  const float factor = t.alpha;
  const float* added = t.bias;
  const float* row_bias = t.row_bias;
  if (factor != 1) {
    const V alpha = V(factor);
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = alpha * sum[i][v];
    }
  }
  if (const float* residual = t.residual) {
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i, residual += to_row) {
      GRADUS_UNROLL
      for (int v = 0; v < last; ++v) sum[i][v] = sum[i][v] + load_as<V>(residual + v * size);
      sum[i][last] = sum[i][last] + load_as<V>(residual + last * size, in_last);
    }
  }
  if (added) {
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const V bias = v == last ? load_as<V>(added + v * size, in_last) : load_as<V>(added + v * size);
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) sum[i][v] = sum[i][v] + bias;
    }
  }
  if (row_bias) {
    GRADUS_UNROLL
    for (int i = 0; i < rows; ++i) {
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = sum[i][v] + V(row_bias[i]);
    }
  }
  GRADUS_UNROLL
  for (int i = 0; i < rows; ++i, to += to_row) {
    GRADUS_UNROLL
    for (int v = 0; v < last; ++v) store(to + v * size, sum[i][v]);
    store(to + last * size, sum[i][last], in_last);
  }
}

using MicroKernel = void (*)(const Tile&);

template <bool unit_rows, BRows mode>
struct MicroKernels {
  MicroKernel of[max_rows][1 + most_vectors] = {};  // the first is for half a register

  template <int... r>
  constexpr explicit MicroKernels(std::integer_sequence<int, r...>) {
    (fill_row<r + 1>(std::make_integer_sequence<int, vectors_for(r + 1)>()), ...);
  }
  template <int rows, int... v>
  constexpr void fill_row(std::integer_sequence<int, v...>) {
    of[rows - 1][0] = micro_kernel<Half, rows, 1, unit_rows, mode>;
    ((of[rows - 1][v + 1] = micro_kernel<Vec, rows, v + 1, unit_rows, mode>), ...);
  }
};

// The micro-kernel for tiles of these sizes.
template <bool unit_rows, BRows mode>
inline MicroKernel micro_kernel_for(int64_t rows, int64_t columns) {
  constexpr BRows mode_used = mode == BRows::whole && masks_are_free ? BRows::partial : mode;
  static constexpr MicroKernels<unit_rows, mode_used> kernels{std::make_integer_sequence<int, max_rows>()};
  const bool half = Half::lanes < lanes && columns <= Half::lanes;
  return kernels.of[rows - 1][half ? 0 : (columns + lanes - 1) / lanes];
}

// The width of tiles of so many rows that cover `columns` columns evenly.
inline int64_t tile_width(int64_t rows, int64_t columns) {
  return equal_blocks(blocks_of(most(1, columns), lanes), vectors_for(int(rows))) * lanes;
}

// --- dot products --------------------------------------------------------------------------------------------------

// Where A has unit stride along its rows and B along its columns, k can fill the lanes and nothing need be packed. The
// sums of the lanes cost about two cycles for each element of C.

struct DotTile {
  const float* a;
  int64_t a_row;
  const float* b;
  int64_t b_column[most_dot_columns];  // where the columns begin, from b
  int64_t k;
  int64_t parts = 1;               // the sums run over so many parts of length k,
  int64_t a_part = 0, b_part = 0;  // which lie so far from each other
};

// A float, or Four.
template <class T>
inline T load_value(const float* p) {
  T x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class T>
inline void store_value(float* p, T x) {
  __builtin_memcpy(p, &x, sizeof x);
}

// sum[i * columns + j] = row i of A times column j of B, stored by fours.
template <int rows, int columns>
void dot_kernel(const DotTile& t, float* sum) {
  Vec dot[rows][columns];
  GRADUS_UNROLL
  for (int i = 0; i < rows; ++i) {
    GRADUS_UNROLL
    for (int j = 0; j < columns; ++j) dot[i][j] = Vec(0.0);
  }
  const float* a = t.a;
  const float* b = t.b;
  for (int64_t part = 0; part < t.parts; ++part, a += t.a_part, b += t.b_part) {
    const int64_t whole = t.k / lanes * lanes;
    for (int64_t p = 0; p < whole; p += lanes) {
      Vec left[rows];
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) {
        left[i] = load(a + i * t.a_row + p);
        if (columns > 1) hold(left[i]);
      }
      GRADUS_UNROLL
      for (int j = 0; j < columns; ++j) {
        const float* column = b + t.b_column[j] + p;
        Vec right = load(column);
        if (rows > 1) hold(right);
        GRADUS_UNROLL
        for (int i = 0; i < rows; ++i) dot[i][j] = fma(left[i], right, dot[i][j]);
      }
    }
    if (whole < t.k) {
      const int64_t m = t.k - whole;
      Vec left[rows];
      GRADUS_UNROLL
      for (int i = 0; i < rows; ++i) left[i] = load(a + i * t.a_row + whole, m);
      GRADUS_UNROLL
      for (int j = 0; j < columns; ++j) {
        const Vec right = load(b + t.b_column[j] + whole, m);
        GRADUS_UNROLL
        for (int i = 0; i < rows; ++i) dot[i][j] = fma(left[i], right, dot[i][j]);
      }
    }
  }
  GRADUS_UNROLL
  for (int i = 0; i < rows * columns; i += 4) {
    Vec some[4];
    GRADUS_UNROLL
    for (int r = i; r < i + 4; ++r) some[r - i] = r < rows * columns ? dot[r / columns][r % columns] : Vec(0.0);
    store_value(sum + i, sums(some));
  }
}

using DotKernel = void (*)(const DotTile&, float*);

struct DotKernels {
  DotKernel of[dot_rows][most_dot_columns] = {};

  template <int... r>
  constexpr explicit DotKernels(std::integer_sequence<int, r...>) {
    (fill_row<r + 1>(std::make_integer_sequence<int, dot_columns_for(r + 1)>()), ...);
  }
  template <int rows, int... j>
  constexpr void fill_row(std::integer_sequence<int, j...>) {
    ((of[rows - 1][j] = dot_kernel<rows, j + 1>), ...);
  }
};

inline DotKernel dot_kernel_for(int64_t rows, int64_t columns) {
  static constexpr DotKernels kernels{std::make_integer_sequence<int, dot_rows>()};
  return kernels.of[rows - 1][columns - 1];
}
