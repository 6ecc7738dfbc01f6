// Element-wise kernels. Each operation is a function on one row of packs; loops.inl runs it over strided views.

// y = f of the operands along a row.
template <class Y, class F, class... X>
inline void map_row(int64_t n, bool, const Y& y, const F& f, const X&... x) {
  packs(n, [&](int64_t i, auto... k) { y.put(i, f(x.get(i, k...)...), k...); });
}

template <class F, class... X>
inline void map_row(int64_t n, bool far, const Unit& y, const F& f, const X&... x) {
  write_row(floats(y.base), n, far, [&](int64_t i, auto... k) { return f(x.get(i, k...)...); });
}

constexpr int64_t unit = sizeof(float);

template <bool condition, class A, class B>
struct Either {
  using Type = A;
};
template <class A, class B>
struct Either<false, A, B> {
  using Type = B;
};

// How an op and its gradient read contiguous rows, by how much they compute.
template <Unary op>
using Input = typename Either<(op >= Unary::exp && op <= Unary::cos) || op >= Unary::gelu, Ahead, Unit>::Type;
template <Unary op>
using GradInput = typename Either<(op >= Unary::gelu), Ahead, Unit>::Type;

template <Unary op>
void unary_row(int64_t n, char* const* p, const int64_t* s, bool far, double a, double b) {
  Vec va(a), vb(b);
  auto f = [&](Vec x) { return apply<op>(x, va, vb); };
  if (s[0] == unit && s[1] == unit)
    map_row(n, far, Unit(p[0], 0), f, Input<op>(p[1], 0));
  else
    map_row(n, far, Strided(p[0], s[0]), f, Strided(p[1], s[1]));
}

void cube_row(int64_t n, char* const* p, const int64_t* s, bool far, double, double) {
  auto f = [](Vec x) { return x * x * x; };
  if (s[0] == unit && s[1] == unit)
    map_row(n, far, Unit(p[0], 0), f, Unit(p[1], 0));
  else
    map_row(n, far, Strided(p[0], s[0]), f, Strided(p[1], s[1]));
}

template <Unary op>
void grad_row(int64_t n, char* const* p, const int64_t* s, bool far, double a, double b) {
  if constexpr (has_grad(op)) {
    Vec va(a), vb(b);
    auto f = [&](Vec kept, Vec g) { return apply_grad<op>(kept, g, va, vb); };
    if (s[0] == unit && s[1] == unit && s[2] == unit)
      map_row(n, far, Unit(p[0], 0), f, GradInput<op>(p[1], 0), GradInput<op>(p[2], 0));
    else
      map_row(n, far, Strided(p[0], s[0]), f, Strided(p[1], s[1]), Strided(p[2], s[2]));
  }
}

template <Binary op>
void binary_row(int64_t n, char* const* p, const int64_t* s, bool far) {
  auto f = [](Vec a, Vec b) { return apply<op>(a, b); };
  if (s[0] != unit) return map_row(n, far, Strided(p[0], s[0]), f, Strided(p[1], s[1]), Strided(p[2], s[2]));
  Unit y(p[0], 0);
  if (s[1] == unit && s[2] == unit) return map_row(n, far, y, f, Unit(p[1], 0), Unit(p[2], 0));
  if (s[1] == unit && s[2] == 0) return map_row(n, far, y, f, Unit(p[1], 0), Same(p[2], 0));
  if (s[1] == 0 && s[2] == unit) return map_row(n, far, y, f, Same(p[1], 0), Unit(p[2], 0));
  map_row(n, far, y, f, Strided(p[1], s[1]), Strided(p[2], s[2]));
}

struct BoolStrided {  // a row of bools as masks
  char* base;
  int64_t step;
  BoolStrided(char* p, int64_t stride) : base(p), step(stride) {}
  Mask get(int64_t i) const { return get(i, Vec::lanes); }
  Mask get(int64_t i, int64_t n) const {
    if (step == 1) return load(reinterpret_cast<const bool*>(base + i), n);
    bool lanes[Vec::lanes] = {};
    for (int64_t k = 0; k < n; ++k) lanes[k] = *reinterpret_cast<const bool*>(base + (i + k) * step);
    return load(lanes, Vec::lanes);
  }
  void put(int64_t i, Mask x) const { put(i, x, Vec::lanes); }
  void put(int64_t i, Mask x, int64_t n) const {
    if (step == 1) return store(reinterpret_cast<bool*>(base + i), x, n);
    bool lanes[Vec::lanes];
    store(lanes, x, Vec::lanes);
    for (int64_t k = 0; k < n; ++k) *reinterpret_cast<bool*>(base + (i + k) * step) = lanes[k];
  }
};

template <Compare op>
void compare_row(int64_t n, char* const* p, const int64_t* s, bool far) {
  auto f = [](Vec a, Vec b) { return apply<op>(a, b); };
  BoolStrided y(p[0], s[0]);
  if (s[1] == unit && s[2] == unit) return map_row(n, far, y, f, Unit(p[1], 0), Unit(p[2], 0));
  if (s[1] == unit && s[2] == 0) return map_row(n, far, y, f, Unit(p[1], 0), Same(p[2], 0));
  map_row(n, far, y, f, Strided(p[1], s[1]), Strided(p[2], s[2]));
}

template <Predicate op>
void predicate_row(int64_t n, char* const* p, const int64_t* s, bool far) {
  auto f = [](Vec x) { return apply<op>(x); };
  BoolStrided y(p[0], s[0]);
  if (s[1] == unit)
    map_row(n, far, y, f, Unit(p[1], 0));
  else
    map_row(n, far, y, f, Strided(p[1], s[1]));
}

// The row functions of one family, indexed by its enum.
template <class Row, class Op, class Make>
struct Family {
  Row* rows[size_t(Op::count_)];
  constexpr Family() { set<0>(); }
  template <int op>
  constexpr void set() {
    if constexpr (op < int(Op::count_)) {
      rows[op] = Make::template row<Op(op)>();
      set<op + 1>();
    }
  }
  Row* operator[](Op op) const { return rows[size_t(op)]; }
};

using ConstantsRow = void(int64_t, char* const*, const int64_t*, bool far, double, double);
using PlainRow = void(int64_t, char* const*, const int64_t*, bool far);

struct MakeUnary {
  template <Unary op>
  static constexpr ConstantsRow* row() {
    return unary_row<op>;
  }
};
struct MakeGrad {
  template <Unary op>
  static constexpr ConstantsRow* row() {
    return grad_row<op>;
  }
};
struct MakeBinary {
  template <Binary op>
  static constexpr PlainRow* row() {
    return binary_row<op>;
  }
};
struct MakeCompare {
  template <Compare op>
  static constexpr PlainRow* row() {
    return compare_row<op>;
  }
};
struct MakePredicate {
  template <Predicate op>
  static constexpr PlainRow* row() {
    return predicate_row<op>;
  }
};

constexpr Family<ConstantsRow, Unary, MakeUnary> unary_rows;
constexpr Family<ConstantsRow, Unary, MakeGrad> grad_rows;
constexpr Family<PlainRow, Binary, MakeBinary> binary_rows;
constexpr Family<PlainRow, Compare, MakeCompare> compare_rows;
constexpr Family<PlainRow, Predicate, MakePredicate> predicate_rows;

void unary(Unary op, const View& x, const View& y, double a, double b) {
  ConstantsRow* row = unary_rows[op];
  // The powers that networks use, without the general formula.
  if (op == Unary::pow && a == 3) row = cube_row;
  if (op == Unary::pow && a == 2) row = unary_rows[Unary::square];
  if (op == Unary::pow && a == 0.5) row = unary_rows[Unary::sqrt];
  if (op == Unary::pow && a == -1) row = unary_rows[Unary::reciprocal];
  if (op == Unary::pow && a == -0.5) row = unary_rows[Unary::rsqrt];
  for_rows(collapse<2>({&y, &x}, {unit, unit}),
           [&](int64_t n, char* const* p, const int64_t* s, bool far) { row(n, p, s, far, a, b); });
}

void unary_grad(Unary op, const View& kept, const View& g, const View& dx, double a, double b) {
  ConstantsRow* row = grad_rows[op];
  for_rows(collapse<3>({&dx, &kept, &g}, {unit, unit, unit}),
           [&](int64_t n, char* const* p, const int64_t* s, bool far) { row(n, p, s, far, a, b); });
}

void binary(Binary op, const View& a, const View& b, const View& y) {
  for_rows(collapse<3>({&y, &a, &b}, {unit, unit, unit}), *binary_rows[op]);
}

void compare(Compare op, const View& a, const View& b, const View& y) {
  for_rows(collapse<3>({&y, &a, &b}, {1, unit, unit}), *compare_rows[op]);
}

void predicate(Predicate op, const View& x, const View& y) {
  for_rows(collapse<2>({&y, &x}, {1, unit}), *predicate_rows[op]);
}

void where(const View& condition, const View& a, const View& b, const View& y) {
  for_rows(collapse<4>({&y, &condition, &a, &b}, {unit, 1, unit, unit}),
           [](int64_t n, char* const* p, const int64_t* s, bool far) {
             auto f = [](Mask c, Vec u, Vec v) { return select(c, u, v); };
             BoolStrided c(p[1], s[1]);
             if (s[0] == unit && s[2] == unit && s[3] == unit)
               map_row(n, far, Unit(p[0], 0), f, c, Unit(p[2], 0), Unit(p[3], 0));
             else
               map_row(n, far, Strided(p[0], s[0]), f, c, Strided(p[2], s[2]), Strided(p[3], s[3]));
           });
}

void fill(const View& y, double value) {
  Vec v(value);
  for_rows(collapse<1>({&y}, {unit}), [&](int64_t n, char* const* p, const int64_t* s, bool far) {
    if (s[0] == unit)
      write_row(floats(p[0]), n, far, [&](auto...) { return v; });
    else
      map_row(n, far, Strided(p[0], s[0]), [&] { return v; });
  });
}

// --- copies --------------------------------------------------------------------------------------------------------

// y (rows, columns) = x (columns, rows) transposed; x's rows are x_step floats apart, y's y_step. far: y and y_step are
// multiples of a line, and whole lines are written past the caches.
inline void transpose(int64_t rows, int64_t columns, const float* x, int64_t x_step, float* y, int64_t y_step,
                      bool far) {
  constexpr int64_t line = 16;  // floats of a line of the cache
  for (int64_t j = 0; j < columns; j += line) {
    for (int64_t k = j + line; k < smaller(j + 2 * line, columns); ++k) {
      for (int64_t i = 0; i < rows; i += line) __builtin_prefetch(x + k * x_step + i);
    }
    for (int64_t i = 0; i < rows; i += Vec::lanes) {
      for (int64_t l = j; l < smaller(j + line, columns); l += Vec::lanes) {
        const float* from = x + l * x_step + i;
        float* to = y + i * y_step + l;
        const int64_t down = smaller(Vec::lanes, rows - i), across = smaller(Vec::lanes, columns - l);
        Vec block[Vec::lanes];
        if (down == Vec::lanes && across == Vec::lanes) {
          for (int k = 0; k < Vec::lanes; ++k) block[k] = load(from + k * x_step);
          transpose(block);
          for (int k = 0; k < Vec::lanes; ++k)
            far ? stream(to + k * y_step, block[k]) : store(to + k * y_step, block[k]);
        } else {
          for (int k = 0; k < Vec::lanes; ++k) block[k] = k < across ? load(from + k * x_step, down) : Vec(0.0);
          transpose(block);
          for (int k = 0; k < down; ++k) store(to + k * y_step, block[k], across);
        }
      }
    }
  }
}

void copy(const View& x, const View& y) {
  if (y.numel() == 0) return;
  Loop<2> loop = collapse<2>({&y, &x}, {unit, unit});
  // A transposition: y is contiguous along the last dimension, x along another. That one is brought next to it.
  int last = loop.ndim - 1, other = -1;
  for (int d = 0; d < last; ++d) {
    if (loop.strides[d][1] == unit) other = d;
  }
  if (last > 0 && loop.strides[last][0] == unit && loop.strides[last][1] != unit && other >= 0 &&
      loop.strides[last][1] % unit == 0) {
    int64_t rows = loop.shape[other], columns = loop.shape[last];
    int64_t x_step = loop.strides[last][1] / unit, y_step = loop.strides[other][0] / unit;
    constexpr int64_t tile = 64;  // four lines of the cache of each of x's rows
    // Lines of y that lie a power of two apart push each other out of the caches, so that it goes past them earlier.
    bool far = loop.inner() * loop.outer() >= far_elements / 8 && reinterpret_cast<uintptr_t>(loop.data[0]) % 64 == 0;
    for (int d = 0; d < last; ++d) far &= loop.strides[d][0] % 64 == 0;
    // The rows are cut into tiles, and the tiles take the place of the outer dimensions' last.
    int64_t tiles = (rows + tile - 1) / tile, outer = loop.outer() / larger(1, rows);
    parallel_for(outer * tiles, larger(1, serial_elements / (tile * larger(1, columns))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t t = begin; t < end; ++t) {
                     int64_t first_row = t % tiles * tile, rest = t / tiles;
                     char *to = loop.data[0], *from = loop.data[1];
                     for (int d = last - 1; d >= 0; --d) {
                       if (d == other) continue;
                       int64_t i = rest % loop.shape[d];
                       rest /= loop.shape[d];
                       to += i * loop.strides[d][0];
                       from += i * loop.strides[d][1];
                     }
                     transpose(smaller(tile, rows - first_row), columns, floats(from) + first_row, x_step,
                               floats(to) + first_row * y_step, y_step, far);
                   }
                   stream_end();
                 });
    return;
  }
  constexpr int64_t few = 256;  // neighbours, with which a row of its own for each would take longer than they
  if (!loop.far && last > 0 && loop.strides[last][0] == unit && loop.strides[last][1] == unit &&
      loop.shape[last] <= few) {
    const int64_t size = loop.shape[last];
    --loop.ndim;
    for_rows(
        loop,
        [size](int64_t n, char* const* p, const int64_t* s, bool) {
          for (int64_t i = 0; i < n; ++i) {
            const float* from = floats(p[1] + i * s[1]);
            float* to = floats(p[0] + i * s[0]);
            packs(size, [&](int64_t j, auto... k) { store(to + j, load(from + j, k...), k...); });
          }
        },
        size);
    return;
  }
  for_rows(loop, [](int64_t n, char* const* p, const int64_t* s, bool far) {
    auto f = [](Vec v) { return v; };
    if (s[0] != unit) return map_row(n, far, Strided(p[0], s[0]), f, Strided(p[1], s[1]));
    Unit to(p[0], 0);
    if (s[1] == unit) return map_row(n, far, to, f, Unit(p[1], 0));
    if (s[1] == 0) return map_row(n, far, to, f, Same(p[1], 0));
    map_row(n, far, to, f, Strided(p[1], s[1]));
  });
}

void (*plain_triangle)(const View&, const View&, int64_t, bool);
using Cast = void (*)(const View&, DType, const View&);
Cast plain_cast, plain_cast_bfloat16;

// Casts elements of `size` bytes: what lies in one piece on all threads, by `piece` (from, to, count) or, where that
// declines, by `plain`.
template <class Piece>
void cast_by(Cast plain, const View& x, int64_t size, DType to, const View& y, Piece piece) {
  static constexpr size_t bytes[] = {size_of(float32), size_of(float64), size_of(int64),
                                     size_of(boolean), size_of(uint8),   size_of(bfloat16)};
  const int64_t sizes[] = {int64_t(bytes[size_t(to)]), size};
  Loop<2> loop = collapse<2>({&y, &x}, sizes);
  if (loop.ndim != 1 || loop.strides[0][0] != sizes[0] || loop.strides[0][1] != size) return plain(x, to, y);
  parallel_for(loop.shape[0], serial_elements, [&](int64_t begin, int64_t end) {
    char *from_bytes = loop.data[1] + begin * size, *to_bytes = loop.data[0] + begin * sizes[0];
    if (!piece(from_bytes, to_bytes, end - begin))
      plain({from_bytes, 1, {end - begin}, {1}}, to, {to_bytes, 1, {end - begin}, {1}});
  });
}

// To bfloat16, which is what is cast to most, by vectors.
void cast(const View& x, DType to, const View& y) {
  cast_by(plain_cast, x, unit, to, y, [to](const char* from, char* out, int64_t n) {
    if (to != DType::bfloat16) return false;
    uint16_t* halves = reinterpret_cast<uint16_t*>(out);
    for (int64_t i = 0; i < n; ++i) {  // as BFloat16's constructor
      uint32_t u = __builtin_bit_cast(uint32_t, floats(from)[i]), rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
      halves[i] = uint16_t((u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded);
    }
    return true;
  });
}

// From bfloat16; to float by vectors.
void cast_bfloat16(const View& x, DType to, const View& y) {
  cast_by(plain_cast_bfloat16, x, sizeof(uint16_t), to, y, [to](const char* from, char* out, int64_t n) {
    if (to != DType::float32) return false;
    const uint16_t* halves = reinterpret_cast<const uint16_t*>(from);
    for (int64_t i = 0; i < n; ++i) floats(out)[i] = __builtin_bit_cast(float, uint32_t(halves[i]) << 16);
    return true;
  });
}

// Rows of the last dimension are kept from a column on, or up to one.
void triangle(const View& x, const View& y, int64_t diagonal, bool upper) {
  const int64_t rows = x.shape[x.ndim - 2], columns = x.shape[x.ndim - 1];
  if (x.strides[x.ndim - 1] != 1 || y.strides[x.ndim - 1] != 1) return plain_triangle(x, y, diagonal, upper);
  parallel_for(x.numel() / larger(1, columns), row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t from = 0, to = 0;
      for (int64_t d = x.ndim - 2, rest = r; d >= 0; --d) {
        from += rest % x.shape[d] * x.strides[d];
        to += rest % x.shape[d] * y.strides[d];
        rest /= x.shape[d];
      }
      int64_t middle =
          smaller(columns, larger(0, r % rows + diagonal + (upper ? 0 : 1)));  // where keeping begins or ends
      int64_t kept = upper ? middle : 0, kept_end = upper ? columns : middle;
      float* row = floats(y.data) + to;
      __builtin_memset(row, 0, size_t(kept) * sizeof(float));
      __builtin_memcpy(row + kept, floats(x.data) + from + kept, size_t(kept_end - kept) * sizeof(float));
      __builtin_memset(row + kept_end, 0, size_t(columns - kept_end) * sizeof(float));
    }
  });
}

void arange(void* y, int64_t n, double start, double step) {
  for (int64_t i = 0; i < n; ++i) floats(y)[i] = float(start + double(i) * step);
}

void fill_elementwise(KernelTable& table) {
  plain_cast = table.cast;
  plain_triangle = table.triangle;
  table.cast = cast;
  table.triangle = triangle;
  table.unary = unary;
  table.unary_grad = unary_grad;
  table.binary = binary;
  table.compare = compare;
  table.predicate = predicate;
  table.where = where;
  table.fill = fill;
  table.copy = copy;
  table.arange = arange;
}
