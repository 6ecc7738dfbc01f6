// Softmax, its logarithm, and cross-entropy, over contiguous rows.

// The largest of a row. A NaN may pass unseen here: it will come back in the sum of exponentials.
inline float row_max(const float* x, int64_t n) {
  Vec part[4];
  for (Vec& p : part) p = Vec(-__builtin_inf());
  int64_t i = 0;
  for (; i + 4 * Vec::lanes <= n; i += 4 * Vec::lanes) {
    for (int j = 0; j < 4; ++j) part[j] = max_or_second(part[j], load(x + i + j * Vec::lanes));
  }
  for (; i < n; i += Vec::lanes) {
    int64_t k = smaller(Vec::lanes, n - i);
    part[0] = first(k, max_or_second(part[0], load(x + i, k)), part[0]);
  }
  return total<Reduce::max>(max_or_second(max_or_second(part[0], part[1]), max_or_second(part[2], part[3])));
}

// Elements of a row that are looked at twice, for the largest and for the sum, before going on: 8 KB, which stay in
// L1. Meanwhile the block after is fetched.
constexpr int64_t softmax_block = 2048;

// The largest of a row, and the sum of exp(x - largest).
struct Partition {
  float largest = -__builtin_inff();
  double sum = 0;
};

// Reads the row once: where a block has a new largest element, the sum so far is scaled down to it (Milakov and
// Gimelshein 2018, section 3).
inline Partition partition(const float* x, int64_t n) {
  Partition p;
  for (int64_t begin = 0; begin < n; begin += softmax_block) {
    const float* from = x + begin;
    int64_t k = smaller(softmax_block, n - begin);
    float largest = row_max(from, k);
    if (largest > p.largest) {
      if (p.sum > 0) p.sum *= double(lane(exp(Vec(double(p.largest) - double(largest)))));
      p.largest = largest;
    }
    Vec shift(p.largest == -__builtin_inff() ? 0 : double(p.largest));  // minus infinities add nothing, and no NaN
    p.sum += double(fold<Reduce::sum>(k, [&](int64_t i, auto... m) {
      __builtin_prefetch(from + i + softmax_block);
      return exp(load(from + i, m...) - shift);
    }));
  }
  return p;
}

// The same of a row that fits in `count` packs, the last of them not necessarily full.
template <int count>
inline Partition short_partition(const float* x, int64_t n) {
  constexpr int64_t last = (count - 1) * Vec::lanes;
  Vec row[count], lowest(-__builtin_inf());
  for (int j = 0; j + 1 < count; ++j) row[j] = load(x + j * Vec::lanes);
  row[count - 1] = first(n - last, load(x + last, n - last), lowest);
  Vec most = row[0];
  for (int j = 1; j < count; ++j) most = max_or_second(most, row[j]);
  float largest = horizontal(most, [](Vec a, Vec b) { return max_or_second(a, b); });
  Vec shift(largest == -__builtin_inff() ? 0 : double(largest)), sum(0);
  for (int j = 0; j < count; ++j) sum = sum + exp(row[j] - shift);
  return {largest, double(total<Reduce::sum>(sum))};
}

inline auto partition_of(int64_t n) {
  Partition (*by_packs[])(const float*, int64_t) = {short_partition<1>, short_partition<2>, short_partition<3>,
                                                    short_partition<4>};
  return n > 0 && n <= 4 * Vec::lanes ? by_packs[(n - 1) / Vec::lanes] : partition;
}

// Calls body(row, largest, log_sum) for every row, log_sum being the logarithm of the sum of exp(x - largest). Short
// rows are summed for a whole pack of logarithms first.
template <class Body>
inline void each_log_sum(const float* x, int64_t rows, int64_t n, const Body& body) {
  int64_t together = n <= 512 ? Vec::lanes : 1;
  auto part = partition_of(n);
  parallel_for(rows, larger(together, row_grain(n)), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r += together) {
      int64_t k = smaller(together, end - r);
      float largest[Vec::lanes], sums[Vec::lanes];
      for (int64_t j = 0; j < Vec::lanes; ++j) sums[j] = 1;
      for (int64_t j = 0; j < k; ++j) {
        Partition p = part(x + (r + j) * n, n);
        largest[j] = p.largest;
        sums[j] = float(p.sum);
      }
      store(sums, log(load(sums)));
      for (int64_t j = 0; j < k; ++j) body(r + j, largest[j], sums[j]);
    }
    stream_end();
  });
}

void softmax(const void* x, void* y, int64_t rows, int64_t n) {
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    float* to = floats(y) + r * n;
    Vec largest(double(row_max(from, n)));
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
  bool far = rows * n >= far_elements;
  each_row(rows, n, [&](int64_t r) {
    const float *yr = floats(y) + r * n, *gr = floats(g) + r * n;
    Vec dot(
        double(fold<Reduce::sum>(n, [&](int64_t i, auto... k) { return load(yr + i, k...) * load(gr + i, k...); })));
    write_row(floats(dx) + r * n, n, far,
              [&](int64_t i, auto... k) { return load(yr + i, k...) * (load(gr + i, k...) - dot); });
  });
}

void log_softmax(const void* x, void* y, int64_t rows, int64_t n) {
  bool far = rows * n >= far_elements;
  each_log_sum(floats(x), rows, n, [&](int64_t r, float largest, float log_sum) {
    const float* from = floats(x) + r * n;
    Vec shift{double(largest)}, rest{double(log_sum)};
    write_row(floats(y) + r * n, n, far, [&](int64_t i, auto... k) { return load(from + i, k...) - shift - rest; });
  });
}

void log_softmax_grad(const void* y, const void* g, void* dx, int64_t rows, int64_t n) {
  bool far = rows * n >= far_elements;
  each_row(rows, n, [&](int64_t r) {
    const float *yr = floats(y) + r * n, *gr = floats(g) + r * n;
    Vec sum(double(fold<Reduce::sum>(n, RowOf{gr})));
    write_row(floats(dx) + r * n, n, far,
              [&](int64_t i, auto... k) { return fnma(exp(load(yr + i, k...)), sum, load(gr + i, k...)); });
  });
}

// --- cross-entropy -------------------------------------------------------------------------------------------------

// sum of weight[i] x[i], the weights being 1 where there are none.
inline double weighted_sum(const float* weight, const float* x, int64_t n) {
  return double(fold<Reduce::sum>(
      n, [&](int64_t i, auto... k) { return load_or(weight, i, Vec(1), k...) * load(x + i, k...); }));
}

// What of the loss is a class's own: q_target of table.h's CrossEntropy is `own` + even times its weight, the other
// classes have `even` times theirs, and `total` is the sum of all.
struct Shares {
  double own, even, total;
  Shares(const CrossEntropy& c, const float* weight, double weights, int64_t target)
      : own((1 - c.label_smoothing) * (weight ? double(weight[target]) : 1)),
        even(c.label_smoothing / double(c.classes)),
        total(own + even * weights) {}
};

inline double sum_of_weights(const CrossEntropy& c, const void* weight) {
  return weight ? double(fold<Reduce::sum>(c.classes, RowOf{floats(weight)})) : double(c.classes);
}

void cross_entropy(const CrossEntropy& c, const void* x, const int64_t* target, const void* weight, void* loss,
                   void* log_sum) {
  double weights = sum_of_weights(c, weight);
  each_log_sum(floats(x), c.rows, c.classes, [&](int64_t r, float largest, float log_of_sum) {
    const float* row = floats(x) + r * c.classes;
    double log_total = double(largest) + double(log_of_sum), sum = 0;
    if (target[r] != c.ignore_index) {
      Shares q(c, floats(weight), weights, target[r]);
      sum = q.own * (log_total - double(row[target[r]]));
      if (q.even > 0) sum += q.even * (weights * log_total - weighted_sum(floats(weight), row, c.classes));
    }
    floats(loss)[r] = float(sum);
    floats(log_sum)[r] = float(log_total);
  });
}

void cross_entropy_grad(const CrossEntropy& c, const void* x, const int64_t* target, const void* weight,
                        const void* log_sum, const void* g, void* dx) {
  double weights = sum_of_weights(c, weight);
  bool far = c.rows * c.classes >= far_elements;
  parallel_for(c.rows, row_grain(c.classes), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = floats(x) + r * c.classes;
      float* to = floats(dx) + r * c.classes;
      if (target[r] == c.ignore_index) {
        write_row(to, c.classes, far, [](auto...) { return Vec(0); });
        continue;
      }
      Shares q(c, floats(weight), weights, target[r]);
      double gradient = double(floats(g)[r]);
      Vec shift(double(floats(log_sum)[r])), all(gradient * q.total), even(gradient * q.even);
      auto others = [&](int64_t i, auto... k) { return exp(load(row + i, k...) - shift) * all; };
      if (q.even == 0)
        write_row(to, c.classes, far, others);
      else
        write_row(to, c.classes, far, [&](int64_t i, auto... k) {
          return fnma(load_or(floats(weight), i, Vec(1), k...), even, others(i, k...));
        });
      double p = double(lane(exp(Vec(double(row[target[r]])) - shift)));
      double own = q.own + q.even * (weight ? double(floats(weight)[target[r]]) : 1);
      to[target[r]] = float(gradient * (p * q.total - own));
    }
    stream_end();
  });
}

void fill_softmax(KernelTable& table) {
  table.softmax = softmax;
  table.softmax_grad = softmax_grad;
  table.log_softmax = log_softmax;
  table.log_softmax_grad = log_softmax_grad;
  table.cross_entropy = cross_entropy;
  table.cross_entropy_grad = cross_entropy_grad;
}
