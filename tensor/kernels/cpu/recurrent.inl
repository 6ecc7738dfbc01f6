// Recurrent layers, and the attention of decoders. A step is one small product with the recurrent weights, which are
// packed once for all steps, and one pass over the gates while they are in the first caches. What a row of the batch
// becomes does not depend on the others, so that threads share the batch and go through time by themselves: nothing
// waits between steps.
//
// Included inside the namespace of an instruction set, after gemm_packed.inl.

// Calls f(rows) for parts of the batch. A tile of rows reads all weights once: no part is smaller than one is high.
template <class F>
inline void each_part(const Recurrence& r, const F& f) {
  const int64_t work = most(1, r.time * gates_of(r.cell) * r.hidden * r.hidden);  // of a row
  const int64_t parts = num_threads() == 1 ? 1 : 2 * num_threads();
  const int64_t rows = most(most(max_rows, task_work / work), blocks_of(r.batch, parts));
  parallel_for(r.batch, rows, [&](int64_t begin, int64_t end) { f(Range{begin, end}); });
}

// C = A B (+ C) (+ bias) from B's panels, A and C without gaps between rows.
inline void step_product(int64_t rows, int64_t k, int64_t n, const float* a, const SharedPanels& b, float* c,
                         bool add, const float* bias) {
  Product x{};
  x.m = rows, x.n = n, x.k = k;
  x.a = a, x.a_row = k, x.a_col = 1;
  x.c = c, x.c_row = n;
  x.alpha = 1;
  x.residual = add ? c : nullptr;
  x.bias = bias;
  Plan plan{};
  plan.pack_b = true;
  product_block(x, plan, &b, {0, rows}, {0, n}, nullptr);
}

inline void copy_rows(const void* from, void* to, int64_t n) {
  if (from && to) packs(n, [&](int64_t i, auto... k) { store(floats(to) + i, load(floats(from) + i, k...), k...); });
}
inline void zero_row(float* to, int64_t n) {
  packs(n, [&](int64_t i, auto... k) { store(to + i, Vec(0), k...); });
}
// Where a (batch, hidden) matrix that may be missing has its row.
inline const float* row_or_null(const void* x, int64_t at) { return x ? floats(x) + at : nullptr; }
inline float* row_or_null(void* x, int64_t at) { return x ? floats(x) + at : nullptr; }

inline int64_t step_at(const Recurrence& r, int64_t i) { return r.reverse ? r.time - 1 - i : i; }
inline int64_t length_of(const Recurrence& r, int64_t b) { return r.lengths ? r.lengths[b] : r.time; }

template <Cell cell>
inline void recurrent_rows(const Recurrence& r, const SharedPanels& w, Range rows) {
  constexpr int gates = gates_of(cell), keeps = kept_of(cell);
  constexpr bool has_c = cell == Cell::lstm;
  const int64_t n = r.hidden, count = rows.size();
  const Space space(count * n * (has_c + 1 + gates));
  float *h = space.floats(), *a = h + count * n, *c = a + count * gates * n;
  copy_rows(floats(r.h0) + rows.begin * n, h, count * n);
  if (has_c) copy_rows(floats(r.c0) + rows.begin * n, c, count * n);
  int64_t longest = 0;
  for (int64_t b = rows.begin; b < rows.end; ++b) longest = most(longest, length_of(r, b));
  for (int64_t step = 0; step < r.time; ++step) {
    const int64_t t = step_at(r, step);
    if (t < longest) step_product(count, n, gates * n, h, w, a, false, floats(r.bias));
    for (int64_t b = rows.begin; b < rows.end; ++b) {
      const int64_t row = b * r.time + t, mine = b - rows.begin;
      float *y = floats(r.y) + row * n, *now = h + mine * n, *cell_now = c + mine * n;
      if (t >= length_of(r, b)) {
        zero_row(y, n);
        copy_rows(now, row_or_null(r.before, row * n), n);
        continue;
      }
      const float *from = floats(r.x) + row * gates * n, *sums = a + mine * gates * n;
      float *before = row_or_null(r.before, row * n), *to = row_or_null(r.kept, row * keeps * n);
      packs(n, [&](int64_t i, auto... k) {
        Vec x[gates], state[gates], kept[keeps];
        GRADUS_UNROLL
        for (int g = 0; g < gates; ++g) {
          x[g] = load(from + g * n + i, k...);
          state[g] = load(sums + g * n + i, k...);
        }
        const CellState<Vec> last{load(now + i, k...), has_c ? load(cell_now + i, k...) : Vec(0)};
        const CellState<Vec> next = cell_step<cell>(x, state, last, kept);
        store(now + i, next.h, k...);
        store(y + i, next.h, k...);
        if (has_c) store(cell_now + i, next.c, k...);
        if (!to) return;
        store(before + i, last.h, k...);
        GRADUS_UNROLL
        for (int g = 0; g < keeps; ++g) store(to + g * n + i, kept[g], k...);
      });
    }
  }
  copy_rows(h, floats(r.h) + rows.begin * n, count * n);
  if (has_c) copy_rows(c, floats(r.c) + rows.begin * n, count * n);
}

void recurrent(const Recurrence& r) {
  Product x{};
  x.k = r.hidden, x.n = gates_of(r.cell) * r.hidden;
  x.b = floats(r.w), x.b_row = 1, x.b_col = r.hidden;
  const Space space(r.packed_w ? 0 : packed_size(x.k, x.n));
  if (!r.packed_w) pack(x, space.floats());
  // The panels are only read.
  const SharedPanels w{{0, x.n}, r.packed_w ? const_cast<float*>(floats(r.packed_w)) : space.floats()};
  for_cell(r.cell, [&]<Cell cell>() { each_part(r, [&](Range rows) { recurrent_rows<cell>(r, w, rows); }); });
}

template <Cell cell>
inline void recurrent_grad_rows(const Recurrence& r, const SharedPanels& w, Range rows, const void* gy,
                                const void* gh, const void* gc, void* dx, void* da, void* dh0, void* dc0) {
  constexpr int gates = gates_of(cell), keeps = kept_of(cell);
  constexpr bool has_c = cell == Cell::lstm;
  const int64_t n = r.hidden, count = rows.size();
  const Space space(count * n * (has_c + 1 + gates));
  float *dh = space.floats(), *a = dh + count * n, *dc = a + count * gates * n;
  copy_rows(floats(gh) + rows.begin * n, dh, count * n);
  if (has_c) copy_rows(floats(gc) + rows.begin * n, dc, count * n);
  int64_t longest = 0;
  for (int64_t b = rows.begin; b < rows.end; ++b) longest = most(longest, length_of(r, b));
  for (int64_t step = r.time - 1; step >= 0; --step) {
    const int64_t t = step_at(r, step);
    for (int64_t b = rows.begin; b < rows.end; ++b) {
      const int64_t row = b * r.time + t, mine = b - rows.begin;
      float *d_input = floats(dx) + row * gates * n, *d_state = floats(da) + row * gates * n;
      float* sums = a + mine * gates * n;
      if (t >= length_of(r, b)) {
        zero_row(sums, gates * n);
        zero_row(d_state, gates * n);
        zero_row(d_input, gates * n);
        continue;
      }
      const float *from = floats(r.kept) + row * keeps * n, *before = floats(r.before) + row * n;
      const float* g_out = floats(gy) + row * n;
      float *g = dh + mine * n, *g_cell = dc + mine * n;
      packs(n, [&](int64_t i, auto... k) {
        Vec kept[keeps], input[gates], state[gates];
        GRADUS_UNROLL
        for (int j = 0; j < keeps; ++j) kept[j] = load(from + j * n + i, k...);
        const CellState<Vec> after{load(g + i, k...) + load(g_out + i, k...),
                                   has_c ? load(g_cell + i, k...) : Vec(0)};
        const CellState<Vec> d = cell_grad<cell>(kept, load(before + i, k...), after, input, state);
        store(g + i, d.h, k...);
        if (has_c) store(g_cell + i, d.c, k...);
        GRADUS_UNROLL
        for (int j = 0; j < gates; ++j) {
          store(sums + j * n + i, state[j], k...);
          store(d_state + j * n + i, state[j], k...);
          if (cell == Cell::gru) store(d_input + j * n + i, input[j], k...);
        }
      });
    }
    if (t < longest) step_product(count, gates * n, n, a, w, dh, true, nullptr);
  }
  copy_rows(dh, floats(dh0) + rows.begin * n, count * n);
  if (has_c) copy_rows(dc, floats(dc0) + rows.begin * n, count * n);
}

void recurrent_grad(const Recurrence& r, const void* gy, const void* gh, const void* gc, void* dx, void* da,
                    void* dh0, void* dc0) {
  Product x{};
  x.k = gates_of(r.cell) * r.hidden, x.n = r.hidden;
  x.b = floats(r.w), x.b_row = r.hidden, x.b_col = 1;
  const Space space(packed_size(x.k, x.n));
  const SharedPanels w{{0, x.n}, space.floats()};
  w.pack(x);
  for_cell(r.cell, [&]<Cell cell>() {
    each_part(r, [&](Range rows) { recurrent_grad_rows<cell>(r, w, rows, gy, gh, gc, dx, da, dh0, dc0); });
  });
}

// --- additive attention --------------------------------------------------------------------------------------------

// What a decoder's state sees at each step. The sums under tanh, (batch, queries, keys, n) in all, are never written
// down: making them again for the gradient takes no longer than reading them would.
void additive_scores(const void* q, const void* k, const void* v, int64_t batch, int64_t queries, int64_t keys,
                     int64_t n, void* y) {
  each_row(batch * queries, keys * n, [&](int64_t row) {
    const float *query = floats(q) + row * n, *key = floats(k) + row / queries * keys * n;
    for (int64_t j = 0; j < keys; ++j, key += n) {
      Vec sum(0);
      packs(n, [&](int64_t i, auto... m) {
        sum = fma(load(floats(v) + i, m...), tanh(load(query + i, m...) + load(key + i, m...)), sum);
      });
      floats(y)[row * keys + j] = total<Reduce::sum>(sum);
    }
  });
}

void additive_scores_grad(const void* q, const void* k, const void* v, const void* g, int64_t batch, int64_t queries,
                          int64_t keys, int64_t n, void* dq, void* dk, void* dv) {
  const Space parts(batch * n);  // of dv, one for each of the batch
  each_row(batch, queries * keys * n, [&](int64_t b) {
    const float *query = floats(q) + b * queries * n, *key = floats(k) + b * keys * n;
    const float* scores = floats(g) + b * queries * keys;
    float *to_query = floats(dq) + b * queries * n, *to_key = floats(dk) + b * keys * n;
    zero_row(to_key, keys * n);
    packs(n, [&](int64_t i, auto... m) {
      const Vec factor = load(floats(v) + i, m...);
      Vec of_v(0);
      for (int64_t r = 0; r < queries; ++r) {
        const Vec from = load(query + r * n + i, m...);
        Vec sum(0);
        for (int64_t j = 0; j < keys; ++j) {
          const Vec score(scores[r * keys + j]), y = tanh(from + load(key + j * n + i, m...));
          const Vec d = score * factor * fnma(y, y, Vec(1));
          of_v = fma(score, y, of_v);
          sum = sum + d;
          store(to_key + j * n + i, load(to_key + j * n + i, m...) + d, m...);
        }
        store(to_query + r * n + i, sum, m...);
      }
      store(parts.floats() + b * n + i, of_v, m...);
    });
  });
  packs(n, [&](int64_t i, auto... m) {
    Vec sum(0);
    for (int64_t b = 0; b < batch; ++b) sum = sum + load(parts.floats() + b * n + i, m...);
    store(floats(dv) + i, sum, m...);
  });
}

void fill_recurrent(KernelTable& table) {
  table.additive_scores = additive_scores;
  table.additive_scores_grad = additive_scores_grad;
  table.recurrent = recurrent;
  table.recurrent_grad = recurrent_grad;
}
