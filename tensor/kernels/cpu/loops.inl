// Loops over strided views and contiguous rows, shared by the kernels. Bodies are generic lambdas (i, k...): for a
// whole pack at i they are called with i alone, for the last k elements of a row with k too.

// Below this many elements a kernel stays on one thread: handing over costs about a microsecond.
constexpr int64_t serial_elements = 32768;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// Rows per chunk so that a chunk is worth a thread's while.
inline int64_t row_grain(int64_t elements_per_row) {
  return larger(1, serial_elements / larger(1, elements_per_row));
}

inline const float* floats(const void* p) { return static_cast<const float*>(p); }
inline float* floats(void* p) { return static_cast<float*>(p); }

// Calls body(i) for each full pack of a row of n, then body(i, k) for the k elements left.
template <class Body>
inline void packs(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + Vec::lanes <= n; i += Vec::lanes) body(i);
  if (i < n) body(i, n - i);
}

// Results of this many elements or more, 32 MB, are written past the caches: by then they would be pushed out before
// anybody read them, and a line that is not read first costs a third of the traffic less. Measured: at 32 MB writing
// and reading back is as fast either way, below that the caches win.
constexpr int64_t far_elements = int64_t(8) << 20;

// Writes f(i) for every pack of a row of n, and f(i, k) for the rest; past the caches where `far`, with
// stream_end() left to the caller.
template <class F>
inline void write_row(float* y, int64_t n, bool far, const F& f) {
  if (!far) return packs(n, [&](int64_t i, auto... k) { store(y + i, f(i, k...), k...); });
  constexpr int64_t bytes = Vec::lanes * int64_t(sizeof(float));
  int64_t head =
      smaller(n, (bytes - int64_t(reinterpret_cast<uintptr_t>(y) % bytes)) % bytes / int64_t(sizeof(float)));
  store(y, f(0, head), head);
  int64_t i = head;
  for (; i + Vec::lanes <= n; i += Vec::lanes) stream(y + i, f(i));
  store(y + i, f(i, n - i), n - i);
}

// The common index space of several views, with dimensions of size 1 dropped, sorted so that the first view's
// strides fall, and neighbours merged where every view allows it.
template <int views>
struct Loop {
  int ndim = 0;
  int64_t shape[8];
  int64_t strides[8][views];  // in bytes
  char* data[views];
  bool far = false;  // the first view is written, and better past the caches

  int64_t inner() const { return ndim ? shape[ndim - 1] : 1; }
  int64_t outer() const {
    int64_t n = 1;
    for (int d = 0; d + 1 < ndim; ++d) n *= shape[d];
    return n;
  }
};

// `sizes`: bytes per element of each view.
template <int views>
inline Loop<views> collapse(const View* const (&v)[views], const int64_t (&sizes)[views]) {
  Loop<views> loop;
  for (int k = 0; k < views; ++k) loop.data[k] = static_cast<char*>(v[k]->data);
  for (int d = 0; d < v[0]->ndim; ++d) {
    int64_t size = v[0]->shape[d];
    if (size == 1) continue;
    int64_t strides[views];
    for (int k = 0; k < views; ++k) strides[k] = v[k]->strides[d] * sizes[k];
    int at = loop.ndim++;  // insertion keeps the order of equals
    auto magnitude = [](int64_t s) { return s < 0 ? -s : s; };
    for (; at > 0 && magnitude(loop.strides[at - 1][0]) < magnitude(strides[0]); --at) {
      loop.shape[at] = loop.shape[at - 1];
      for (int k = 0; k < views; ++k) loop.strides[at][k] = loop.strides[at - 1][k];
    }
    loop.shape[at] = size;
    for (int k = 0; k < views; ++k) loop.strides[at][k] = strides[k];
  }
  int last = 0;  // the dimension that the next one may merge into
  for (int d = 1; d < loop.ndim; ++d) {
    bool merges = true;
    for (int k = 0; k < views; ++k) merges &= loop.strides[last][k] == loop.strides[d][k] * loop.shape[d];
    if (merges) {
      loop.shape[last] *= loop.shape[d];
    } else {
      loop.shape[++last] = loop.shape[d];
    }
    for (int k = 0; k < views; ++k) loop.strides[last][k] = loop.strides[d][k];
  }
  if (loop.ndim) loop.ndim = last + 1;
  loop.far = sizes[0] == sizeof(float) && loop.inner() * loop.outer() >= far_elements;
  for (int k = 1; k < views; ++k) loop.far &= loop.data[k] != loop.data[0];  // in place its lines are there already
  return loop;
}

// Calls row(n, data, strides, far) for pieces of the inner dimension that cover the space, in parallel where it is
// large. data and strides: per view, in bytes. far: for write_row. An index may stand for several elements.
template <int views, class Row>
inline void for_rows(const Loop<views>& loop, const Row& row, int64_t elements = 1) {
  int64_t inner = loop.inner(), outer = loop.outer();
  static constexpr int64_t none[views] = {};
  const int64_t(&inner_strides)[views] = loop.ndim ? loop.strides[loop.ndim - 1] : none;
  if (outer == 1) {
    parallel_for(inner, larger(1, serial_elements / elements), [&](int64_t begin, int64_t end) {
      char* at[views];
      for (int k = 0; k < views; ++k) at[k] = loop.data[k] + begin * inner_strides[k];
      row(end - begin, at, inner_strides, loop.far);
      stream_end();
    });
    return;
  }
  if (inner == 0) return;
  parallel_for(outer, row_grain(inner * elements), [&](int64_t begin, int64_t end) {
    int64_t index[8];
    char* at[views];
    for (int k = 0; k < views; ++k) at[k] = loop.data[k];
    for (int64_t d = loop.ndim - 2, rest = begin; d >= 0; --d) {
      index[d] = rest % loop.shape[d];
      rest /= loop.shape[d];
      for (int k = 0; k < views; ++k) at[k] += index[d] * loop.strides[d][k];
    }
    for (int64_t r = begin; r < end; ++r) {
      row(inner, at, inner_strides, loop.far);
      for (int d = loop.ndim - 2; d >= 0; --d) {
        for (int k = 0; k < views; ++k) at[k] += loop.strides[d][k];
        if (++index[d] < loop.shape[d]) break;
        for (int k = 0; k < views; ++k) at[k] -= loop.shape[d] * loop.strides[d][k];
        index[d] = 0;
      }
    }
    stream_end();
  });
}

// One operand along a row: how pack number i of it is loaded or stored, for i in steps of Vec::lanes; n lanes count.
struct Unit {  // neighbours in memory
  char* base;
  Unit(char* p, int64_t) : base(p) {}
  Vec get(int64_t i) const { return load(floats(base) + i); }
  Vec get(int64_t i, int64_t n) const { return load(floats(base) + i, n); }
  void put(int64_t i, Vec x) const { store(floats(base) + i, x); }
  void put(int64_t i, Vec x, int64_t n) const { store(floats(base) + i, x, n); }
};

// Fetched 1 KB ahead, for what takes dozens of instructions a pack: the processor, which fetches ahead by itself but
// never into the next page of 4 KB, does not see that far then.
struct Ahead : Unit {
  using Unit::get;
  using Unit::Unit;
  Vec get(int64_t i) const {
    __builtin_prefetch(floats(base) + i + 256);
    return Unit::get(i);
  }
};

struct Same {  // one element for all
  Vec value;
  Same(char* p, int64_t) : value(double(*floats(p))) {}
  Vec get(int64_t) const { return value; }
  Vec get(int64_t, int64_t) const { return value; }
};

struct Strided {
  char* base;
  int64_t step;
  Strided(char* p, int64_t stride) : base(p), step(stride) {}
  Vec get(int64_t i) const { return get(i, Vec::lanes); }
  Vec get(int64_t i, int64_t n) const {
    float lanes[Vec::lanes] = {};
    for (int64_t k = 0; k < n; ++k) lanes[k] = *floats(base + (i + k) * step);
    return load(lanes);
  }
  void put(int64_t i, Vec x) const { put(i, x, Vec::lanes); }
  void put(int64_t i, Vec x, int64_t n) const {
    float lanes[Vec::lanes];
    store(lanes, x);
    for (int64_t k = 0; k < n; ++k) *floats(base + (i + k) * step) = lanes[k];
  }
};

// Runs body(row) for every row of n, in parallel where there is enough to do.
template <class Body>
inline void each_row(int64_t rows, int64_t n, const Body& body) {
  parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r);
    stream_end();
  });
}

// p[i ...], or `otherwise` where there is no p.
template <class... K>
inline Vec load_or(const float* p, int64_t i, Vec otherwise, K... k) {
  return p ? load(p + i, k...) : otherwise;
}
