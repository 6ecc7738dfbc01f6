// Kernels on contiguous rows: softmax, normalisation, random numbers, indexing, optimisers. Bodies are generic
// lambdas (i, k...): for a whole pack at i they are called with i alone, for the last k elements of a row with k too.

// Runs body(row) for every row of n, in parallel where there is enough to do.
template <class Body>
inline void each_row(int64_t rows, int64_t n, const Body& body) {
  parallel_for(rows, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) body(r);
  });
}

// --- softmax -------------------------------------------------------------------------------------------------------

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

// --- normalisation over rows ---------------------------------------------------------------------------------------

// p[i ...], or `otherwise` where there is no p.
template <class... K>
inline Vec load_or(const float* p, int64_t i, Vec otherwise, K... k) {
  return p ? load(p + i, k...) : otherwise;
}

void layer_norm(const void* x, const void* weight, const void* bias, double eps, int64_t rows, int64_t n, void* y,
                void* mean, void* rstd) {
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    float* to = floats(y) + r * n;
    double mu = double(fold<Reduce::sum>(n, RowOf{from})) / double(n);
    Vec centre(mu);
    double variance =
        fold<Reduce::sum_squares>(n, [&](int64_t i, auto... k) { return load(from + i, k...) - centre; }) / double(n);
    double scale = 1 / __builtin_sqrt(variance + eps);
    Vec factor(scale);
    packs(n, [&](int64_t i, auto... k) {
      Vec normal = (load(from + i, k...) - centre) * factor;
      store(to + i, fma(normal, load_or(floats(weight), i, Vec(1), k...), load_or(floats(bias), i, Vec(0), k...)),
            k...);
    });
    floats(mean)[r] = float(mu);
    floats(rstd)[r] = float(scale);
  });
}

void rms_norm(const void* x, const void* weight, double eps, int64_t rows, int64_t n, void* y, void* rstd) {
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    float* to = floats(y) + r * n;
    double scale = 1 / __builtin_sqrt(fold<Reduce::sum_squares>(n, RowOf{from}) / double(n) + eps);
    Vec factor(scale);
    packs(n, [&](int64_t i, auto... k) {
      store(to + i, load(from + i, k...) * factor * load_or(floats(weight), i, Vec(1), k...), k...);
    });
    floats(rstd)[r] = float(scale);
  });
}

// Of layer_norm, or with centred = false of rms_norm, which has no mean and no db. A block of rows owns a row
// each of partial dw and db; how many rows make a block depends on their number alone.
template <bool centred>
void row_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g, int64_t rows,
                   int64_t n, void* dx, void* dw, void* db) {
  int64_t block = larger(32, (rows + 255) / 256), blocks = (rows + block - 1) / block;
  Scratch parts(2 * blocks * n);
  parallel_for(blocks, row_grain(block * n), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      float *part_w = parts.data() + 2 * b * n, *part_b = part_w + n;
      for (int64_t i = 0; i < 2 * n; ++i) part_w[i] = 0;
      for (int64_t r = b * block; r < smaller((b + 1) * block, rows); ++r) {
        const float *xr = floats(x) + r * n, *gr = floats(g) + r * n;
        float* to = floats(dx) + r * n;
        Vec scale(double(floats(rstd)[r])), centre(0), sum(0);
        if constexpr (centred) centre = Vec(double(floats(mean)[r]));
        auto normal = [&](int64_t i, auto... k) { return (load(xr + i, k...) - centre) * scale; };
        auto weighted = [&](int64_t i, auto... k) {
          return load(gr + i, k...) * load_or(floats(weight), i, Vec(1), k...);
        };
        Vec dot(0);  // lanes of both sums; lanes beyond the row hold g = 0
        packs(n, [&](int64_t i, auto... k) {
          Vec gw = weighted(i, k...), xhat = normal(i, k...), gi = load(gr + i, k...);
          sum = sum + gw;
          dot = fma(gw, xhat, dot);
          store(part_w + i, fma(gi, xhat, load(part_w + i, k...)), k...);
          store(part_b + i, load(part_b + i, k...) + gi, k...);
        });
        Vec mean_dot(double(total<Reduce::sum>(dot)) / double(n));
        Vec mean_sum(centred ? double(total<Reduce::sum>(sum)) / double(n) : 0);
        packs(n, [&](int64_t i, auto... k) {
          store(to + i, scale * (weighted(i, k...) - fma(normal(i, k...), mean_dot, mean_sum)), k...);
        });
      }
    }
  });
  parallel_for(n, row_grain(2 * blocks), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double sum_w = 0, sum_b = 0;
      for (int64_t b = 0; b < blocks; ++b) {
        sum_w += parts.data()[2 * b * n + i];
        sum_b += parts.data()[(2 * b + 1) * n + i];
      }
      if (dw) floats(dw)[i] = float(sum_w);
      if (db) floats(db)[i] = float(sum_b);
    }
  });
}

void layer_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g,
                     int64_t rows, int64_t n, void* dx, void* dw, void* db) {
  row_norm_grad<true>(x, weight, mean, rstd, g, rows, n, dx, dw, db);
}

void rms_norm_grad(const void* x, const void* weight, const void* rstd, const void* g, int64_t rows, int64_t n,
                   void* dx, void* dw) {
  row_norm_grad<false>(x, weight, nullptr, rstd, g, rows, n, dx, dw, nullptr);
}

// --- normalisation over channels -----------------------------------------------------------------------------------

// Everything about one channel of (batch, channels, inner) is done by one thread. Where inner is 1 the
// channels themselves are neighbours, and a pack holds as many of them.

// out[c] = sum of f(offset, k...) over the batch, for the k channels beginning at `channel`; float within 256
// samples.
template <class F>
inline void sum_columns(int64_t batch, int64_t channels, int64_t channel, int64_t k, double* out, const F& f) {
  for (int64_t j = 0; j < k; ++j) out[j] = 0;
  for (int64_t first_sample = 0; first_sample < batch; first_sample += 256) {
    Vec sum(0);
    for (int64_t b = first_sample; b < smaller(first_sample + 256, batch); ++b) sum = sum + f(b * channels + channel);
    float lanes[Vec::lanes];
    store(lanes, sum);
    for (int64_t j = 0; j < k; ++j) out[j] += lanes[j];
  }
}

// The sum of f(offset, k...) over channel c, where its planes are contiguous.
template <class F>
inline double sum_planes(int64_t batch, int64_t channels, int64_t inner, int64_t c, const F& f) {
  double sum = 0;
  for (int64_t b = 0; b < batch; ++b) {
    int64_t base = (b * channels + c) * inner;
    sum += fold<Reduce::sum>(inner, [&](int64_t i, auto... k) { return f(base + i, k...); });
  }
  return sum;
}

template <class F>
inline void each_plane_pack(int64_t batch, int64_t channels, int64_t inner, int64_t c, const F& f) {
  for (int64_t b = 0; b < batch; ++b) {
    int64_t base = (b * channels + c) * inner;
    packs(inner, [&](int64_t i, auto... k) { f(base + i, k...); });
  }
}

inline double scale_of(double variance, double eps) { return 1 / __builtin_sqrt(variance + eps); }

void batch_norm(const void* x, const void* weight, const void* bias, double eps, int64_t batch, int64_t channels,
                int64_t inner, void* y, void* mean, void* rstd) {
  const float* from = floats(x);
  float* to = floats(y);
  double count = double(batch * inner);
  if (inner == 1) {
    each_row((channels + Vec::lanes - 1) / Vec::lanes, batch * Vec::lanes, [&](int64_t tile) {
      int64_t c = tile * Vec::lanes, k = smaller(Vec::lanes, channels - c);
      double sums[Vec::lanes];
      sum_columns(batch, channels, c, k, sums, [&](int64_t at) { return load(from + at, k); });
      for (int64_t j = 0; j < k; ++j) floats(mean)[c + j] = float(sums[j] / count);
      Vec centre = load(floats(mean) + c, k);
      sum_columns(batch, channels, c, k, sums, [&](int64_t at) {
        Vec d = load(from + at, k) - centre;
        return d * d;
      });
      for (int64_t j = 0; j < k; ++j) floats(rstd)[c + j] = float(scale_of(sums[j] / count, eps));
      Vec factor = load(floats(rstd) + c, k) * load_or(floats(weight), c, Vec(1), k);
      Vec shift = load_or(floats(bias), c, Vec(0), k);
      for (int64_t b = 0; b < batch; ++b) {
        int64_t at = b * channels + c;
        store(to + at, fma(load(from + at, k) - centre, factor, shift), k);
      }
    });
    return;
  }
  each_row(channels, batch * inner, [&](int64_t c) {
    double mu = sum_planes(batch, channels, inner, c, [&](int64_t at, auto... k) { return load(from + at, k...); });
    mu /= count;
    Vec centre(mu);
    double squares = sum_planes(batch, channels, inner, c, [&](int64_t at, auto... k) {
      Vec d = load(from + at, k...) - centre;
      return d * d;
    });
    double scale = scale_of(squares / count, eps);
    Vec factor(weight ? scale * floats(weight)[c] : scale), shift(bias ? double(floats(bias)[c]) : 0);
    each_plane_pack(batch, channels, inner, c, [&](int64_t at, auto... k) {
      store(to + at, fma(load(from + at, k...) - centre, factor, shift), k...);
    });
    floats(mean)[c] = float(mu);
    floats(rstd)[c] = float(scale);
  });
}

void batch_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g,
                     int64_t batch, int64_t channels, int64_t inner, void* dx, void* dw, void* db) {
  const float *xs = floats(x), *gs = floats(g);
  float* to = floats(dx);
  double count = double(batch * inner);
  if (inner == 1) {
    each_row((channels + Vec::lanes - 1) / Vec::lanes, batch * Vec::lanes, [&](int64_t tile) {
      int64_t c = tile * Vec::lanes, k = smaller(Vec::lanes, channels - c);
      Vec centre = load(floats(mean) + c, k), scale = load(floats(rstd) + c, k);
      double sums[Vec::lanes], dots[Vec::lanes];
      sum_columns(batch, channels, c, k, sums, [&](int64_t at) { return load(gs + at, k); });
      sum_columns(batch, channels, c, k, dots,
                  [&](int64_t at) { return load(gs + at, k) * ((load(xs + at, k) - centre) * scale); });
      float mean_sums[Vec::lanes] = {}, mean_dots[Vec::lanes] = {};
      for (int64_t j = 0; j < k; ++j) {
        mean_sums[j] = float(sums[j] / count);
        mean_dots[j] = float(dots[j] / count);
        if (dw) floats(dw)[c + j] = float(dots[j]);
        if (db) floats(db)[c + j] = float(sums[j]);
      }
      Vec factor = scale * load_or(floats(weight), c, Vec(1), k);
      Vec mean_sum = load(mean_sums), mean_dot = load(mean_dots);
      for (int64_t b = 0; b < batch; ++b) {
        int64_t at = b * channels + c;
        Vec normal = (load(xs + at, k) - centre) * scale;
        store(to + at, factor * (load(gs + at, k) - fma(normal, mean_dot, mean_sum)), k);
      }
    });
    return;
  }
  each_row(channels, batch * inner, [&](int64_t c) {
    Vec centre(double(floats(mean)[c])), scale(double(floats(rstd)[c]));
    auto normal = [&](int64_t at, auto... k) { return (load(xs + at, k...) - centre) * scale; };
    double sum = sum_planes(batch, channels, inner, c, [&](int64_t at, auto... k) { return load(gs + at, k...); });
    double dot = sum_planes(batch, channels, inner, c,
                            [&](int64_t at, auto... k) { return load(gs + at, k...) * normal(at, k...); });
    Vec factor = weight ? scale * Vec(double(floats(weight)[c])) : scale;
    Vec mean_sum(sum / count), mean_dot(dot / count);
    each_plane_pack(batch, channels, inner, c, [&](int64_t at, auto... k) {
      store(to + at, factor * (load(gs + at, k...) - fma(normal(at, k...), mean_dot, mean_sum)), k...);
    });
    if (dw) floats(dw)[c] = float(dot);
    if (db) floats(db)[c] = float(sum);
  });
}

// --- random --------------------------------------------------------------------------------------------------------

// Words of the stream from block `block` on, as philox() of philox.h makes them, four to a lane.
constexpr int64_t words_at_once = 4 * Vec::lanes;

inline void philox_words(PhiloxState state, uint64_t block, uint32_t* words) {
  uint32_t low[Vec::lanes], high[Vec::lanes];
  for (int i = 0; i < Vec::lanes; ++i) {
    uint64_t n = state.offset + block + uint64_t(i);
    low[i] = uint32_t(n);
    high[i] = uint32_t(n >> 32);
  }
  Bits c0 = load_bits(low), c1 = load_bits(high), c2 = bits(0), c3 = bits(0);
  uint32_t k0 = uint32_t(state.seed), k1 = uint32_t(state.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    Halves p0 = multiply(c0, 0xD2511F53u), p1 = multiply(c2, 0xCD9E8D57u);
    c0 = p1.high ^ c1 ^ bits(int(k0));
    c1 = p1.low;
    c2 = p0.high ^ c3 ^ bits(int(k1));
    c3 = p0.low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  interleave(c0, c1, c2, c3, words);
}

// Calls f(i, words, count) for every `words_at_once` elements from i on.
template <class F>
inline void each_words(int64_t n, PhiloxState state, const F& f) {
  parallel_for(n, 8192, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += words_at_once) {
      uint32_t words[words_at_once];
      philox_words(state, uint64_t(i / 4), words);
      f(i, words, smaller(words_at_once, end - i));
    }
  });
}

void (*plain_random)(Random, void*, int64_t, PhiloxState, double, double);

// The reference's numbers to the bit; normal and randint by the reference itself, on all threads.
void random(Random kind, void* y, int64_t n, PhiloxState state, double a, double b) {
  if (kind == Random::uniform) {
    Vec lower(a), upper(b), width = upper - lower, last{double(::nextafterf(float(b), float(a)))};
    each_words(n, state, [&](int64_t i, const uint32_t* words, int64_t count) {
      packs(count, [&](int64_t j, auto... k) {
        Bits upper_bits = shift_right<8>(load_bits(words + j)) & bits(0xffffff);
        Vec value = lower + to_float(upper_bits) * Vec(0x1p-24) * width;
        store(floats(y) + i + j, select(value < upper, value, last), k...);
      });
    });
    return;
  }
  parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
    PhiloxState from{state.seed, state.offset + uint64_t(begin / 4)};
    plain_random(kind, floats(y) + begin, end - begin, from, a, b);
  });
}

void dropout(const void* x, void* y, int64_t n, PhiloxState state, double p) {
  uint64_t kept = uint64_t((1 - p) * 0x1p32);
  if (kept == 0) return fill({y, 1, {n}, {1}}, 0);
  Bits last = bits(int(uint32_t(kept - 1)));  // the largest word that keeps
  Vec factor(1 / (1 - p));
  each_words(n, state, [&](int64_t i, const uint32_t* words, int64_t count) {
    packs(count, [&](int64_t j, auto... k) {
      Vec value = load(floats(x) + i + j, k...) * factor;
      store(floats(y) + i + j, select(at_most(load_bits(words + j), last), value, Vec(0)), k...);
    });
  });
}

// --- indexing ------------------------------------------------------------------------------------------------------

void index_select(const void* x, const int64_t* index, void* y, int64_t outer, int64_t n, int64_t inner,
                  int64_t count) {
  each_row(outer * count, inner, [&](int64_t row) {
    const float* from = floats(x) + (row / count * n + index[row % count]) * inner;
    __builtin_memcpy(floats(y) + row * inner, from, size_t(inner) * sizeof(float));
  });
}

// Threads share out the columns, so that every element receives its sums in the order of the index.
void index_add(void* y, const int64_t* index, const void* x, int64_t outer, int64_t n, int64_t inner, int64_t count) {
  for (int64_t o = 0; o < outer; ++o) {
    parallel_for(inner, larger(Vec::lanes, serial_elements / larger(1, count)), [&](int64_t begin, int64_t end) {
      for (int64_t r = 0; r < count; ++r) {
        float* to = floats(y) + (o * n + index[r]) * inner + begin;
        const float* from = floats(x) + (o * count + r) * inner + begin;
        packs(end - begin,
              [&](int64_t i, auto... k) { store(to + i, load(to + i, k...) + load(from + i, k...), k...); });
      }
    });
  }
}

void (*plain_scatter_add)(const View&, const View&, const View&, int);

// Along the rows of a matrix (where max pooling sends its gradients), each row on one thread.
void scatter_add(const View& y, const View& index, const View& x, int dim) {
  if (x.ndim != 2 || dim != 1) return plain_scatter_add(y, index, x, dim);
  int64_t n = index.shape[1];
  each_row(index.shape[0], n, [&](int64_t r) {
    const int64_t* at = static_cast<const int64_t*>(index.data) + r * index.strides[0];
    const float* from = floats(x.data) + r * x.strides[0];
    float* to = floats(y.data) + r * y.strides[0];
    for (int64_t i = 0; i < n; ++i) to[at[i * index.strides[1]] * y.strides[1]] += from[i * x.strides[1]];
  });
}

// --- optimisers ----------------------------------------------------------------------------------------------------

// Runs `update` on every pack of the parameter, the gradient and the states; a null state is a scratch zero.
template <class Update, class... States>
inline void step(const Update& update, int64_t n, void* p, const void* g, States*... states) {
  parallel_for(n, serial_elements, [&](int64_t begin, int64_t end) {
    packs(end - begin, [&](int64_t i, auto... k) {
      int64_t at = begin + i;
      Vec parameter = load(floats(p) + at, k...);
      auto with_states = [&](auto... values) {
        update(parameter, load(floats(g) + at, k...), values...);
        ((states ? store(floats(states) + at, values, k...) : void()), ...);
      };
      with_states(load_or(floats(states), at, Vec(0), k...)...);
      store(floats(p) + at, parameter, k...);
    });
  });
}

void sgd_step(const SgdStep& o, int64_t n, void* p, const void* g, void* momentum) {
  step(SgdUpdate<Vec>(o), n, p, g, momentum);
}
void adam_step(const AdamStep& o, int64_t n, void* p, const void* g, void* m, void* v) {
  step(AdamUpdate<Vec>(o), n, p, g, m, v);
}
void rmsprop_step(const RmspropStep& o, int64_t n, void* p, const void* g, void* v, void* mean, void* momentum) {
  step(RmspropUpdate<Vec>(o), n, p, g, v, mean, momentum);
}
void adagrad_step(const AdagradStep& o, int64_t n, void* p, const void* g, void* sum) {
  step(AdagradUpdate<Vec>(o), n, p, g, sum);
}

void fill_rows(KernelTable& table) {
  plain_random = table.random;
  plain_scatter_add = table.scatter_add;
  table.softmax = softmax;
  table.softmax_grad = softmax_grad;
  table.log_softmax = log_softmax;
  table.log_softmax_grad = log_softmax_grad;
  table.layer_norm = layer_norm;
  table.layer_norm_grad = layer_norm_grad;
  table.rms_norm = rms_norm;
  table.rms_norm_grad = rms_norm_grad;
  table.batch_norm = batch_norm;
  table.batch_norm_grad = batch_norm_grad;
  table.random = random;
  table.dropout = dropout;
  table.index_select = index_select;
  table.index_add = index_add;
  table.scatter_add = scatter_add;
  table.sgd_step = sgd_step;
  table.adam_step = adam_step;
  table.rmsprop_step = rmsprop_step;
  table.adagrad_step = adagrad_step;
}
