// Layer, RMS and batch normalisation, and their gradients.

// --- normalisation over rows ---------------------------------------------------------------------------------------

void layer_norm(const void* x, const void* weight, const void* bias, double eps, int64_t rows, int64_t n, void* y,
                void* mean, void* rstd) {
  bool far = rows * n >= far_elements;
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    double mu = double(fold<Reduce::sum>(n, RowOf{from})) / double(n);
    Vec centre(mu);
    double variance =
        fold<Reduce::sum_squares>(n, [&](int64_t i, auto... k) { return load(from + i, k...) - centre; }) / double(n);
    double scale = 1 / __builtin_sqrt(variance + eps);
    Vec factor(scale);
    write_row(floats(y) + r * n, n, far, [&](int64_t i, auto... k) {
      Vec normal = (load(from + i, k...) - centre) * factor;
      return fma(normal, load_or(floats(weight), i, Vec(1), k...), load_or(floats(bias), i, Vec(0), k...));
    });
    floats(mean)[r] = float(mu);
    floats(rstd)[r] = float(scale);
  });
}

void rms_norm(const void* x, const void* weight, double eps, int64_t rows, int64_t n, void* y, void* rstd) {
  bool far = rows * n >= far_elements;
  each_row(rows, n, [&](int64_t r) {
    const float* from = floats(x) + r * n;
    double scale = 1 / __builtin_sqrt(fold<Reduce::sum_squares>(n, RowOf{from}) / double(n) + eps);
    Vec factor(scale);
    write_row(floats(y) + r * n, n, far, [&](int64_t i, auto... k) {
      return load(from + i, k...) * factor * load_or(floats(weight), i, Vec(1), k...);
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
        write_row(floats(dx) + r * n, n, rows * n >= far_elements, [&](int64_t i, auto... k) {
          return scale * (weighted(i, k...) - fma(normal(i, k...), mean_dot, mean_sum));
        });
      }
    }
    stream_end();
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

// A part of a channel that stays in L1 while it is read twice: rows of n, as far from each other as two samples, which
// is too far for a processor to foresee: those `lead` on are fetched.
struct Piece {
  int64_t offset, rows, n, apart, lead;
  // Of get(offset + i) and get(offset + i, k), as in Fold; the accumulators live across rows, which may be short.
  // `fresh`: what get reads for the first time, if anything.
  template <Reduce op, class Get>
  double fold(const float* fresh, const Get& get) const {
    Fold<op> sums;
    for (int64_t at = offset; at < offset + rows * apart; at += apart)
      sums.row(n, [&](int64_t i, auto... k) {
        if (fresh) __builtin_prefetch(fresh + at + i + lead, 0, 2);
        return get(at + i, k...);
      });
    return double(sums.result());
  }
};

// Calls body(piece) for pieces that cover a channel: parts of a plane, or whole planes of samples in a row.
template <class Body>
inline void pieces_of(int64_t channel, int64_t batch, int64_t channels, int64_t inner, const Body& body) {
  constexpr int64_t size = 2048;
  const int64_t planes = larger(1, size / inner), apart = channels * inner;
  const int64_t lead = inner > size ? 0 : larger(1, 512 / inner) * apart;  // of about 2 KB; long planes are foreseen
  for (int64_t b = 0; b < batch; b += planes)
    for (int64_t begin = 0; begin < inner; begin += size)
      body(Piece{(b * channels + channel) * inner + begin, smaller(planes, batch - b), smaller(size, inner - begin),
                 apart, lead});
}

inline double scale_of(double variance, double eps) { return 1 / __builtin_sqrt(variance + eps); }

void batch_norm(const void* x, const void* weight, const void* bias, double eps, int64_t batch, int64_t channels,
                int64_t inner, void* y, void* mean, void* rstd) {
  const float* from = floats(x);
  float* to = floats(y);
  double count = double(batch * inner);
  bool far = batch * channels * inner >= far_elements;
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
    // Joined as in Chan, Golub and LeVeque (1979).
    double seen = 0, mu = 0, squares = 0;
    pieces_of(c, batch, channels, inner, [&](const Piece& piece) {
      const double size = double(piece.rows * piece.n), all = seen + size;
      const double here =
          piece.fold<Reduce::sum>(from, [&](int64_t i, auto... k) { return load(from + i, k...); }) / size;
      const Vec near(here);
      const double around =
          piece.fold<Reduce::sum_squares>(nullptr, [&](int64_t i, auto... k) { return load(from + i, k...) - near; });
      const double off = here - mu;
      squares += around + off * off * (seen * size / all);
      mu += off * (size / all);
      seen = all;
    });
    double scale = scale_of(squares / count, eps);
    Vec centre(mu), factor(weight ? scale * floats(weight)[c] : scale);
    Vec shift(bias ? double(floats(bias)[c]) : 0);
    for (int64_t b = 0; b < batch; ++b) {
      int64_t at = (b * channels + c) * inner;
      write_row(to + at, inner, far,
                [&](int64_t i, auto... k) { return fma(load(from + at + i, k...) - centre, factor, shift); });
    }
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
  bool far = batch * channels * inner >= far_elements;
  each_row(channels, batch * inner, [&](int64_t c) {
    Vec centre(double(floats(mean)[c])), scale(double(floats(rstd)[c]));
    double sum = 0, dot = 0;  // of g, and of g times the normalised x
    pieces_of(c, batch, channels, inner, [&](const Piece& piece) {
      sum += piece.fold<Reduce::sum>(gs, [&](int64_t i, auto... k) { return load(gs + i, k...); });
      dot += piece.fold<Reduce::sum>(
          xs, [&](int64_t i, auto... k) { return load(gs + i, k...) * ((load(xs + i, k...) - centre) * scale); });
    });
    Vec factor = weight ? scale * Vec(double(floats(weight)[c])) : scale;
    Vec mean_sum(sum / count), mean_dot(dot / count);
    for (int64_t b = 0; b < batch; ++b) {
      int64_t at = (b * channels + c) * inner;
      write_row(to + at, inner, far, [&](int64_t i, auto... k) {
        Vec normal = (load(xs + at + i, k...) - centre) * scale;
        return factor * (load(gs + at + i, k...) - fma(normal, mean_dot, mean_sum));
      });
    }
    if (dw) floats(dw)[c] = float(dot);
    if (db) floats(db)[c] = float(sum);
  });
}

void channel_affine(const void* x, const void* scale, const void* shift, int64_t batch, int64_t channels,
                    int64_t inner, void* y) {
  bool far = batch * channels * inner >= far_elements;
  int64_t planes = inner == 1 ? 1 : channels,
          n = inner == 1 ? channels : inner;  // rows of a sample, and their length
  parallel_for(batch * planes, row_grain(n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* from = floats(x) + r * n;
      int64_t c = r % planes;
      if (inner == 1) {
        write_row(floats(y) + r * n, n, far, [&](int64_t i, auto... k) {
          return fma(load(from + i, k...), load(floats(scale) + i, k...), load_or(floats(shift), i, Vec(0), k...));
        });
      } else {
        Vec factor(double(floats(scale)[c])), offset(shift ? double(floats(shift)[c]) : 0);
        write_row(floats(y) + r * n, n, far,
                  [&](int64_t i, auto... k) { return fma(load(from + i, k...), factor, offset); });
      }
    }
    stream_end();
  });
}

void fill_norms(KernelTable& table) {
  table.layer_norm = layer_norm;
  table.layer_norm_grad = layer_norm_grad;
  table.rms_norm = rms_norm;
  table.rms_norm_grad = rms_norm_grad;
  table.batch_norm = batch_norm;
  table.batch_norm_grad = batch_norm_grad;
  table.channel_affine = channel_affine;
}
