// Softmax and its logarithm over contiguous rows.

// The largest of a row. A NaN may pass unseen here: it will come back in the sum of exponentials.
inline Vec row_max(const float* x, int64_t n) {
  Vec largest(-__builtin_inf());
  packs(n, [&](int64_t i, auto... k) {
    Vec more = max_or_second(largest, load(x + i, k...));
    if constexpr (sizeof...(k)) more = first(k..., more, largest);
    largest = more;
  });
  return Vec(double(total<Reduce::max>(largest)));
}

void softmax(const void* x, void* y, int64_t rows, int64_t n) {
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    float* to = floats(y) + r * n;
    Vec largest = row_max(from, n);
    float sum = fold<Reduce::sum>(n, [&](int64_t i, auto... k) {
      Vec e = exp(load(from + i, k...) - largest);
      store(to + i, e, k...);
      return e;
    });
    Vec factor(1 / double(sum));
    packs(n, [&](int64_t i, auto... k) { store(to + i, load(to + i, k...) * factor, k...); });
  });
}

void softmax_grad(const void* y, const void* g, void* dx, int64_t rows, int64_t n) {
  each_row(rows, n, [&](int64_t r) {
    const float *yr = floats(y) + r * n, *gr = floats(g) + r * n;
    float* to = floats(dx) + r * n;
    Vec dot(
        double(fold<Reduce::sum>(n, [&](int64_t i, auto... k) { return load(yr + i, k...) * load(gr + i, k...); })));
    packs(n, [&](int64_t i, auto... k) { store(to + i, load(yr + i, k...) * (load(gr + i, k...) - dot), k...); });
  });
}

void log_softmax(const void* x, void* y, int64_t rows, int64_t n) {
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    float* to = floats(y) + r * n;
    Vec largest = row_max(from, n);
    float sum = fold<Reduce::sum>(n, [&](int64_t i, auto... k) { return exp(load(from + i, k...) - largest); });
    Vec log_sum = log(Vec(double(sum)));
    packs(n, [&](int64_t i, auto... k) { store(to + i, load(from + i, k...) - largest - log_sum, k...); });
  });
}

void log_softmax_grad(const void* y, const void* g, void* dx, int64_t rows, int64_t n) {
  each_row(rows, n, [&](int64_t r) {
    const float *yr = floats(y) + r * n, *gr = floats(g) + r * n;
    float* to = floats(dx) + r * n;
    Vec sum(double(fold<Reduce::sum>(n, RowOf{gr})));
    packs(n,
          [&](int64_t i, auto... k) { store(to + i, fnma(exp(load(yr + i, k...)), sum, load(gr + i, k...)), k...); });
  });
}

void fill_softmax(KernelTable& table) {
  table.softmax = softmax;
  table.softmax_grad = softmax_grad;
  table.log_softmax = log_softmax;
  table.log_softmax_grad = log_softmax_grad;
}
