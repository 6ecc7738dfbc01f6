// Reductions over any dimensions. The elements of each output are cut into blocks by the shape alone; a block is
// summed on one thread, and the blocks are joined in their order, in double or as a tree. So the bits do not depend
// on the threads, and long sums lose little: within a block each of several dozen lanes adds a few hundred numbers.

// Uninitialised floats for the length of a kernel.
class Scratch {
 public:
  explicit Scratch(int64_t count) : bytes_(size_t(count) * sizeof(float)), data_(floats(allocate(bytes_))) {}
  ~Scratch() { deallocate(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* data() const { return data_; }

 private:
  size_t bytes_;
  float* data_;
};

// All lanes joined.
template <Reduce op>
inline float total(Vec x) {
  return horizontal(x, [](Vec a, Vec b) { return combine<op>(a, b); });
}

// Reduces get(i) over packs and get(i, k) over the last k elements, into four accumulators that live across rows.
template <Reduce op>
struct Fold {
  Vec part[4];
  Fold() {
    for (Vec& p : part) p = Vec(identity<op>());
  }
  template <class Get>
  void row(int64_t n, const Get& get) {
    int64_t i = 0;
    for (; i + 4 * Vec::lanes <= n; i += 4 * Vec::lanes) {
      for (int j = 0; j < 4; ++j) part[j] = absorb<op>(part[j], get(i + j * Vec::lanes));
    }
    for (int j = 0; j < 3; ++j) {  // at most; that many times, so that all accumulators are registers
      if (i + Vec::lanes > n) break;
      part[j] = absorb<op>(part[j], get(i));
      i += Vec::lanes;
    }
    if (i < n) part[3] = first(n - i, absorb<op>(part[3], get(i, n - i)), part[3]);
  }
  float result() const {
    return total<op>(combine<op>(combine<op>(part[0], part[1]), combine<op>(part[2], part[3])));
  }
};

// The reduction of one row.
template <Reduce op, class Get>
inline float fold(int64_t n, const Get& get) {
  Fold<op> sums;
  sums.row(n, get);
  return sums.result();
}

// A contiguous row as what Fold asks of.
struct RowOf {
  const float* x;
  Vec operator()(int64_t i) const { return load(x + i); }
  Vec operator()(int64_t i, int64_t k) const { return load(x + i, k); }
};

// The same, with what comes after it fetched ahead: in short rows a processor does not see far.
constexpr int64_t fetched_ahead = 512;  // floats
struct FarRowOf : RowOf {
  using RowOf::operator();
  Vec operator()(int64_t i) const {
    __builtin_prefetch(x + i + fetched_ahead);
    return load(x + i);
  }
};

// Up to `block_rows` rows, whose places are given as offsets from x.
constexpr int64_t block_rows = 256;
// Elements in a block, about.
constexpr int64_t block_elements = 16384;

template <Reduce op>
float fold_rows(const float* x, const int64_t* offsets, int64_t rows, int64_t n) {
  Fold<op> sums;
  for (int64_t r = 0; r < rows; ++r) sums.row(n, RowOf{x + offsets[r]});
  return sums.result();
}

// y[c] = the reduction of x[offset + c] over the offsets, `together` rows at a time: for these y, which stays in the
// first cache, is read and written once.
template <Reduce op, int64_t together>
void fold_long_rows(const float* x, const int64_t* offsets, int64_t rows, int64_t columns, float* y) {
  for (int64_t r = 0; r < rows; r += together) {
    const int64_t now = smaller(together, rows - r);
    const float* row[together] = {};
    for (int64_t i = 0; i < now; ++i) row[i] = x + offsets[r + i];
    packs(columns, [&](int64_t c, auto... k) {
      if (together == 1) __builtin_prefetch(row[0] + c + fetched_ahead);
      Vec sum = r == 0 ? Vec(identity<op>()) : load(y + c, k...);
      if (now == together) {
        for (int64_t i = 0; i < together; ++i) sum = absorb<op>(sum, load(row[i] + c, k...));
      } else {
        for (int64_t i = 0; i < now; ++i) sum = absorb<op>(sum, load(row[i] + c, k...));
      }
      store(y + c, sum, k...);
    });
  }
}

// The same. A processor foresees long streams, a few of them at a time, but not the beginnings of many rows: so rows
// are followed along where they are long, one by one where they are shorter, and in registers where they fit four.
template <Reduce op>
void fold_columns(const float* x, const int64_t* offsets, int64_t rows, int64_t columns, float* y) {
  constexpr int64_t page = 1024;  // floats, beyond which a stream is not followed
  if (columns >= page) return fold_long_rows<op, 8>(x, offsets, rows, columns, y);
  if (columns > 4 * Vec::lanes) return fold_long_rows<op, 1>(x, offsets, rows, columns, y);
  if (columns == 4 * Vec::lanes) {
    Vec sums[4] = {Vec(identity<op>()), Vec(identity<op>()), Vec(identity<op>()), Vec(identity<op>())};
    for (int64_t r = 0; r < rows; ++r) {
      for (int j = 0; j < 4; ++j) sums[j] = absorb<op>(sums[j], load(x + offsets[r] + j * Vec::lanes));
    }
    for (int j = 0; j < 4; ++j) store(y + j * Vec::lanes, sums[j]);
    return;
  }
  packs(columns, [&](int64_t c, auto... k) {
    Vec sum{identity<op>()};
    for (int64_t r = 0; r < rows; ++r) sum = absorb<op>(sum, load(x + offsets[r] + c, k...));
    store(y + c, sum, k...);
  });
}

// Some dimensions of x: a small index space of its own.
struct IndexSpace {
  int ndim = 0;
  int64_t shape[8], x_strides[8], y_strides[8];
  int64_t size() const {
    int64_t n = 1;
    for (int d = 0; d < ndim; ++d) n *= shape[d];
    return n;
  }
  int64_t offset(int64_t i, const int64_t (&strides)[8]) const {
    int64_t at = 0;
    for (int d = ndim - 1; d >= 0; --d) {
      at += i % shape[d] * strides[d];
      i /= shape[d];
    }
    return at;
  }
  // Of the elements from `begin` on, in x.
  void offsets(int64_t begin, int64_t count, int64_t* at) const {
    for (int64_t i = 0; i < count; ++i) {
      at[i] = ndim == 1 ? (begin + i) * x_strides[0] : offset(begin + i, x_strides);
    }
  }
  void add(int64_t size, int64_t x_stride, int64_t y_stride) {
    if (ndim > 0 && x_strides[ndim - 1] == x_stride * size && y_strides[ndim - 1] == y_stride * size) {
      shape[ndim - 1] *= size;  // continues the one before
    } else {
      shape[ndim++] = size;
    }
    x_strides[ndim - 1] = x_stride;
    y_strides[ndim - 1] = y_stride;
  }
};

// combine<op> of two doubles.
template <Reduce op>
inline double join(double a, double b) {
  if constexpr (op == Reduce::prod)
    return a * b;
  else if constexpr (op == Reduce::max)
    return a != a || a > b ? a : b;
  else if constexpr (op == Reduce::min)
    return a != a || a < b ? a : b;
  else
    return a + b;
}

// Joins the parts in order.
template <Reduce op>
float join_blocks(const float* parts, int64_t blocks) {
  double sum = parts[0];
  for (int64_t b = 1; b < blocks; ++b) sum = join<op>(sum, double(parts[b]));
  return float(sum);
}

// The innermost dimension is reduced: each output is a set of rows of n.
template <Reduce op>
void reduce_rows(const IndexSpace& kept, const IndexSpace& rows, int64_t n, const float* x, float* y) {
  int64_t outputs = kept.size(), row_count = rows.size();
  if (row_count == 1 && kept.ndim == 1 && n <= block_elements) {  // what most are
    parallel_for(outputs, row_grain(n), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o)
        y[o * kept.y_strides[0]] = fold<op>(n, FarRowOf{{x + o * kept.x_strides[0]}});
    });
    return;
  }
  // A block is a piece of a row, or several rows.
  int64_t pieces = (n + block_elements - 1) / block_elements;
  int64_t rows_per_block = pieces > 1 ? 1 : smaller(block_rows, larger(1, block_elements / n));
  int64_t blocks = pieces > 1 ? row_count * pieces : (row_count + rows_per_block - 1) / rows_per_block;
  auto run = [&](int64_t output, int64_t block) {
    const float* from = x + kept.offset(output, kept.x_strides);
    int64_t offsets[block_rows];
    if (pieces > 1) {
      int64_t begin = block % pieces * block_elements;
      offsets[0] = rows.offset(block / pieces, rows.x_strides) + begin;
      return fold_rows<op>(from, offsets, 1, smaller(block_elements, n - begin));
    }
    int64_t begin = block * rows_per_block, count = smaller(rows_per_block, row_count - begin);
    rows.offsets(begin, count, offsets);
    return fold_rows<op>(from, offsets, count, n);
  };
  if (blocks == 1) {
    parallel_for(outputs, row_grain(row_count * n), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) y[kept.offset(o, kept.y_strides)] = run(o, 0);
    });
    return;
  }
  Scratch parts(outputs * blocks);
  parallel_for(outputs * blocks, row_grain(block_elements), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) parts.data()[t] = run(t / blocks, t % blocks);
  });
  for (int64_t o = 0; o < outputs; ++o) {
    y[kept.offset(o, kept.y_strides)] = join_blocks<op>(parts.data() + o * blocks, blocks);
  }
}

// Rows of `columns` numbers become one row for every `column_rows` of them, which one accumulator adds.
constexpr int64_t column_rows = 64;
constexpr int64_t column_tile = 1024;  // columns on one thread

// `sets` times: row r, of count in set s, is at from(s, first row, how many, offsets); the results to y, (sets,
// ceil(count / column_rows), columns).
template <Reduce op, class From>
void fold_sets(int64_t sets, int64_t count, int64_t columns, const float* x, float* y, const From& from) {
  int64_t tiles = (columns + column_tile - 1) / column_tile, blocks = (count + column_rows - 1) / column_rows;
  int64_t work = smaller(column_rows, count) * smaller(column_tile, columns);
  parallel_for(sets * blocks * tiles, row_grain(work), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t first_column = t % tiles * column_tile, part = t / tiles, first_row = part % blocks * column_rows;
      int64_t rows = smaller(column_rows, count - first_row), offsets[column_rows];
      from(part / blocks, first_row, rows, offsets);
      fold_columns<op>(x + first_column, offsets, rows, smaller(column_tile, columns - first_column),
                       y + part * columns + first_column);
    }
  });
}

// The innermost dimension is kept: rows of `columns` outputs side by side, joined as a tree.
template <Reduce op>
void reduce_columns(const IndexSpace& kept, const IndexSpace& rows, int64_t columns, int64_t y_stride, const float* x,
                    float* y) {
  constexpr Reduce join_op = op == Reduce::sum_squares ? Reduce::sum : op;
  int64_t outputs = kept.size(), count = (rows.size() + column_rows - 1) / column_rows;
  Scratch parts(outputs * count * columns), next(outputs * ((count + column_rows - 1) / column_rows) * columns);
  float *done = parts.data(), *other = next.data();
  fold_sets<op>(outputs, rows.size(), columns, x, done,
                [&](int64_t output, int64_t first_row, int64_t k, int64_t* offsets) {
                  rows.offsets(first_row, k, offsets);
                  int64_t base = kept.offset(output, kept.x_strides);
                  for (int64_t r = 0; r < k; ++r) offsets[r] += base;
                });
  while (count > 1) {
    fold_sets<join_op>(outputs, count, columns, done, other,
                       [&](int64_t output, int64_t first_row, int64_t k, int64_t* offsets) {
                         for (int64_t r = 0; r < k; ++r) offsets[r] = (output * count + first_row + r) * columns;
                       });
    count = (count + column_rows - 1) / column_rows;
    float* last = done;
    done = other;
    other = last;
  }
  parallel_for(outputs, row_grain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      float* to = y + kept.offset(o, kept.y_strides);
      for (int64_t c = 0; c < columns; ++c) to[c * y_stride] = done[o * columns + c];
    }
  });
}

void (*plain_reduce)(Reduce, const View&, const View&);  // the reference's, for what is too small to matter

template <Reduce op>
void reduce_by(const View& x, const View& y) {
  struct Dim {
    int64_t size, x_stride, y_stride;
    int64_t reach() const { return x_stride < 0 ? -x_stride : x_stride ? x_stride : INT64_MAX; }
  };
  Dim dims[8];
  int count = 0;
  for (int d = 0; d < x.ndim; ++d) {
    if (x.shape[d] == 1) continue;
    Dim dim{x.shape[d], x.strides[d], y.strides[d]};
    int at = count++;  // sorted so that x's strides fall, expanded dimensions first
    for (; at > 0 && dims[at - 1].reach() < dim.reach(); --at) dims[at] = dims[at - 1];
    dims[at] = dim;
  }
  if (count == 0 || x.numel() == 0) return plain_reduce(op, x, y);
  if (dims[count - 1].x_stride != 1) {  // neighbours nowhere: brought together first
    if (x.numel() < serial_elements / 8) return plain_reduce(op, x, y);
    Scratch together(x.numel());
    View near = x;
    near.data = together.data();
    for (int64_t d = x.ndim - 1, step = 1; d >= 0; step *= x.shape[d--]) near.strides[d] = step;
    copy(x, near);
    return reduce_by<op>(near, y);
  }
  // Dimensions of one kind may merge across dimensions of the other only where they are neighbours in memory,
  // which `add` checks.
  IndexSpace kept, rows;
  for (int d = 0; d + 1 < count; ++d)
    (dims[d].y_stride ? kept : rows).add(dims[d].size, dims[d].x_stride, dims[d].y_stride);
  Dim inner = dims[count - 1];
  IndexSpace& space = inner.y_stride ? kept : rows;
  // The innermost joins its neighbour of the same kind.
  if (space.ndim > 0) {
    int last = space.ndim - 1;
    if (space.x_strides[last] == inner.size && space.y_strides[last] == inner.y_stride * inner.size) {
      inner.size *= space.shape[last];
      space.ndim = last;
    }
  }
  if (inner.y_stride)
    reduce_columns<op>(kept, rows, inner.size, inner.y_stride, floats(x.data), floats(y.data));
  else
    reduce_rows<op>(kept, rows, inner.size, floats(x.data), floats(y.data));
}

void reduce(Reduce op, const View& x, const View& y) {
  switch (op) {
    case Reduce::sum: return reduce_by<Reduce::sum>(x, y);
    case Reduce::prod: return reduce_by<Reduce::prod>(x, y);
    case Reduce::max: return reduce_by<Reduce::max>(x, y);
    case Reduce::min: return reduce_by<Reduce::min>(x, y);
    case Reduce::sum_squares: return reduce_by<Reduce::sum_squares>(x, y);
    case Reduce::count_: return;
  }
}

// Where the largest (smallest) of a row is found again, from the left.
template <Reduce op>
int64_t arg_of_row(const float* x, int64_t n) {
  float best = fold<op>(n, RowOf{x});
  int64_t i = 0;
  if (best == best) {
    Vec wanted{double(best)};
    while (i + Vec::lanes <= n && !any(load(x + i) == wanted)) i += Vec::lanes;
  }
  while (x[i] != best && x[i] == x[i]) ++i;
  return i;
}

void arg_reduce(ArgReduce op, const void* x, int64_t rows, int64_t n, int64_t* y) {
  each_row(rows, n, [&](int64_t r) {
    const float* row = floats(x) + r * n;
    y[r] = op == ArgReduce::max ? arg_of_row<Reduce::max>(row, n) : arg_of_row<Reduce::min>(row, n);
  });
}

// Sums are kept in double. Where rows of `inner` lie side by side, a tile of their columns is one piece of work.
void cumsum(const void* x, void* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1) {
    each_row(outer, n, [&](int64_t r) {
      double sum = 0;
      for (int64_t i = r * n; i < (r + 1) * n; ++i) floats(y)[i] = float(sum += double(floats(x)[i]));
    });
    return;
  }
  constexpr int64_t tile = 64;
  int64_t tiles = (inner + tile - 1) / tile;
  parallel_for(outer * tiles, row_grain(n * smaller(tile, inner)), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      int64_t first_column = t % tiles * tile, columns = smaller(tile, inner - first_column);
      const float* from = floats(x) + t / tiles * n * inner + first_column;
      float* to = floats(y) + (from - floats(x));
      double sums[tile] = {};
      for (int64_t i = 0; i < n; ++i, from += inner, to += inner) {
        for (int64_t j = 0; j < columns; ++j) {
          sums[j] += double(from[j]);
          to[j] = float(sums[j]);
        }
      }
    }
  });
}

void fill_reduce(KernelTable& table) {
  plain_reduce = table.reduce;
  table.arg_reduce = arg_reduce;
  table.cumsum = cumsum;
  table.reduce = reduce;
}
