// Convolutions of float images, without im2col. Included after gemm.inl.
//
// A padded copy of the image, split by the stride so that neighbouring outputs read neighbouring elements, turns
// every convolution into one of stride 1 without padding. Its output, computed at the copy's row length, is then a
// matrix product in which row (channel, tap) of the right matrix is simply the copy from some offset on: nothing is
// rearranged per tap. The few columns that the copy has more than the output are dropped (`Frame::columns` against
// out_w). Offsets are all that differs between the forward product and the gradients.

// The padded copy of some rows of an image: row r, column q of phase (a, b) of a channel is the image's
// (top + r stride_h + a, left + q stride_w + b), and 0 outside it.
struct Frame {
  int64_t channels, height, width;  // of the image
  int64_t stride_h = 1, stride_w = 1;
  int64_t phases_h = 1, phases_w = 1;  // those that are used, at most the strides
  int64_t top, left;
  int64_t rows, columns;

  int64_t plane() const { return rows * columns; }
  int64_t size() const { return channels * phases_h * phases_w * plane(); }
};

inline void copy_floats(const float* from, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, load(from + i));
  if (i < n) store(to + i, load(from + i, n - i), n - i);
}

inline void clear_floats(float* to, int64_t n) {
  const Vec nothing(0.0);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(to + i, nothing);
  if (i < n) store(to + i, nothing, n - i);
}

inline bool all_finite(const float* x, int64_t n) {
  Vec zeros(0.0);  // x * 0 is NaN where x is not finite
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) zeros = fma(load(x + i), Vec(0.0), zeros);
  if (i < n) zeros = fma(load(x + i, n - i), Vec(0.0), zeros);
  return !any(zeros != zeros);
}

// from[l step] in lane l < n, and 0 in the others.
inline Vec load_steps(const float* from, int64_t step, int64_t n) {
  if (step == 1) return load(from, n);
  if (step == 2) {
    const int64_t reach = 2 * n - 1;
    const Vec rest = reach > lanes ? load(from + lanes, reach - lanes) : Vec(0.0);
    return even_lanes(load(from, least(reach, lanes)), rest);
  }
  float some[lanes] = {};
  for (int64_t l = 0; l < n; ++l) some[l] = from[l * step];
  return load(some);
}

// to[q] = from[q step] for first <= q < last, and 0 in the rest of [0, size). Writes whole registers, which
// may reach up to `lanes` beyond: rows are laid out from the first to the last.
inline void lay_row(const float* from, int64_t step, int64_t first, int64_t last, int64_t size, float* to) {
  // Margins mostly fit a register; where they do, no loop is entered, which compilers make a call of memset.
  const Vec nothing(0.0);
  if (first > 0) store(to, nothing);
  for (int64_t q = lanes; q < first; q += lanes) store(to + q, nothing);
  int64_t q = first;
  if (step == 1)
    for (; q + lanes <= last; q += lanes) store(to + q, load(from + q));
  for (; q < last; q += lanes) store(to + q, load_steps(from + q * step, step, least(lanes, last - q)));
  if (q < size) store(to + q, nothing);
  for (q += lanes; q < size; q += lanes) store(to + q, nothing);
}

inline void fill_frame(const Frame& f, const float* image, float* to) {
  for (int64_t c = 0; c < f.channels; ++c, image += f.height * f.width) {
    for (int64_t a = 0; a < f.phases_h; ++a) {
      for (int64_t b = 0; b < f.phases_w; ++b) {
        // Columns [first, last) lie in the image.
        const int64_t left = f.left + b, step = f.stride_w;
        const int64_t first = least(f.columns, left < 0 ? blocks_of(-left, step) : 0);
        const int64_t last = most(first, least(f.columns, left < f.width ? blocks_of(f.width - left, step) : 0));
        for (int64_t r = 0; r < f.rows; ++r, to += f.columns) {
          const int64_t y = f.top + r * f.stride_h + a;
          const bool inside = y >= 0 && y < f.height;
          lay_row(image + y * f.width + left, step, inside ? first : 0, inside ? last : 0, f.columns, to);
        }
      }
    }
  }
}

// Rows of weights for micro-kernels: tiles of `height` rows one after another, each with its rows side by side.
inline int64_t weight_tile(int64_t rows) { return equal_blocks(rows, max_rows); }

// out (rows, length) = weights (rows, k) times the matrix whose row p begins at frame + offsets[p].
inline void correlate(const float* frame, const int32_t* offsets, int64_t k, const float* weights, int64_t rows,
                      int64_t length, float* out, int64_t out_row) {
  const int64_t height = weight_tile(rows);
  const int64_t width = tile_width(height, length);
  Tile t;
  t.b_rows = offsets;
  t.b_step = 0;
  t.k = k;
  t.c_row = out_row;
  for (int64_t j = 0; j < length; j += width) {
    t.b = frame + j;
    t.columns = least(width, length - j);
    for (int64_t i = 0; i < rows; i += height) {
      const int64_t tile_rows = least(height, rows - i);
      t.a = weights + i * k;
      t.a_step = tile_rows;
      t.c = out + i * out_row + j;
      micro_kernel_for<true, BRows::table>(tile_rows, t.columns)(t);
    }
  }
}

// Of one row of weights, straight to where the result belongs: `rows` rows of `columns` elements, of which the first
// begins at the frame's first element and each other `frame_row` on.
inline void correlate_one(const float* frame, int64_t frame_row, const int32_t* offsets, int64_t k,
                          const float* weights, float bias, int64_t rows, int64_t columns, float* to,
                          int64_t to_row) {
  constexpr int together = 7;  // rows, whose sums are under way at a time: images often have some 7 of them
  for (int64_t r = 0; r < rows; r += together) {
    const int64_t now = least(together, rows - r);
    const float* row[together];  // the last of fewer rows is computed again
    for (int64_t i = 0; i < together; ++i) row[i] = frame + (r + least(i, now - 1)) * frame_row;
    for (int64_t j = 0; j < columns; j += lanes) {
      Vec sum[together];
      GRADUS_UNROLL
      for (int i = 0; i < together; ++i) sum[i] = Vec(0.0);
      for (int64_t p = 0; p < k; ++p) {
        const Vec weight(weights[p]);
        const int64_t at = offsets[p] + j;
        GRADUS_UNROLL
        for (int i = 0; i < together; ++i) sum[i] = fma(weight, load(row[i] + at), sum[i]);
      }
      const int64_t n = least(lanes, columns - j);
      float* place = to + r * to_row + j;
      GRADUS_UNROLL
      for (int i = 0; i < together; ++i) {
        if (i < now) store(place + i * to_row, sum[i] + Vec(bias), n);
      }
    }
  }
}

// Floats that a task's copy of an image and its output may take, each: 256 KB, so that both stay in L2.
constexpr int64_t frame_floats = 1 << 16;

// As many of `rows` rows as the budget allows, at least one, in equal strips.
inline int64_t strip_rows(int64_t rows, int64_t floats_per_row) {
  return equal_blocks(rows, most(1, frame_floats / most(1, floats_per_row)));
}

// The frame that the outputs of `strip` rows read, but for `top`.
inline Frame input_frame(const Conv2d& c, int64_t channels) {
  const int64_t reach_h = (c.kernel_h - 1) * c.dilation_h, reach_w = (c.kernel_w - 1) * c.dilation_w;
  Frame f;
  f.channels = channels;
  f.height = c.height;
  f.width = c.width;
  f.stride_h = c.stride_h;
  f.stride_w = c.stride_w;
  f.phases_h = least(c.stride_h, reach_h + 1);
  f.phases_w = least(c.stride_w, reach_w + 1);
  f.left = -c.pad_w;
  f.columns = c.out_w + reach_w / c.stride_w;
  f.rows = 0;
  return f;
}

// The rows of such a frame that so many rows of the output read.
inline int64_t input_rows(const Conv2d& c, int64_t out_rows) {
  return out_rows + (c.kernel_h - 1) * c.dilation_h / c.stride_h;
}

// Where in the frame each (channel, tap) finds what the first output needs of it.
inline void input_offsets(const Conv2d& c, const Frame& f, int32_t* offsets) {
  for (int64_t i = 0; i < f.channels; ++i) {
    for (int64_t kh = 0; kh < c.kernel_h; ++kh) {
      for (int64_t kw = 0; kw < c.kernel_w; ++kw) {
        const int64_t h = kh * c.dilation_h, v = kw * c.dilation_w;
        const int64_t plane = (i * f.phases_h + h % c.stride_h) * f.phases_w + v % c.stride_w;
        *offsets++ = int32_t(plane * f.plane() + h / c.stride_h * f.columns + v / c.stride_w);
      }
    }
  }
}

// Whether it is a product of the weights with each image as it lies: of one tap, over every position. Images of few
// positions are better off together in frames.
inline bool pointwise(const Conv2d& c) {
  return c.kernel_h * c.kernel_w * c.stride_h * c.stride_w * c.groups == 1 && c.pad_h + c.pad_w == 0 &&
         c.out_h * c.out_w >= lanes;
}

inline void conv2d(const Conv2d& c, const void* x, const void* w, const void* bias, void* y) {
  if (c.batch * c.out_channels * c.out_h * c.out_w == 0) return;
  if (pointwise(c)) {
    const int64_t area = c.height * c.width;
    Product p{};
    p.m = c.out_channels, p.n = area, p.k = c.in_channels;
    p.a = static_cast<const float*>(w), p.a_row = p.k, p.a_col = 1;
    p.b = static_cast<const float*>(x), p.b_row = area, p.b_col = 1;
    p.c = static_cast<float*>(y), p.c_row = area;
    p.row_bias = static_cast<const float*>(bias);
    return multiply(p, c.batch, 0, p.k * area, p.m * area);
  }
  const int64_t in = c.in_channels / c.groups, out = c.out_channels / c.groups;
  const int64_t k = in * c.kernel_h * c.kernel_w;
  Frame f = input_frame(c, in);
  const int64_t strip = strip_rows(c.out_h, f.columns * most(out, in * f.phases_h * f.phases_w));
  const int64_t strips = blocks_of(c.out_h, strip);
  f.rows = input_rows(c, strip);

  const Space offsets(k), weights(c.out_channels * k + slack);
  input_offsets(c, f, offsets.words());
  const int64_t height = weight_tile(out);
  for (int64_t g = 0; g < c.groups; ++g) {
    for (int64_t i = 0; i < out; i += height) {
      const int64_t row = g * out + i, rows = least(height, out - i);
      pack_transposed(static_cast<const float*>(w) + row * k, k, rows, k, weights.floats() + row * k, rows);
    }
  }

  const int64_t work = most(1, out * k * strip * f.columns);
  parallel_for(c.batch * c.groups * strips, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const int64_t flat_row = round_up((strip - 1) * f.columns + c.out_w, lanes);
    const Space frame(f.size() + slack), flat(out * flat_row);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / (c.groups * strips), g = task / strips % c.groups;
      const int64_t first = task % strips * strip, rows = least(strip, c.out_h - first);
      Frame mine = f;
      mine.top = first * c.stride_h - c.pad_h;
      fill_frame(mine, static_cast<const float*>(x) + (image * c.in_channels + g * in) * c.height * c.width,
                 frame.floats());
      if (in * out == 1) {
        correlate_one(frame.floats(), f.columns, offsets.words(), k, weights.floats() + g * k,
                      bias ? static_cast<const float*>(bias)[g] : 0.0f, rows, c.out_w,
                      static_cast<float*>(y) + ((image * c.groups + g) * c.out_h + first) * c.out_w, c.out_w);
        continue;
      }
      correlate(frame.floats(), offsets.words(), k, weights.floats() + g * out * k, out,
                (rows - 1) * f.columns + c.out_w, flat.floats(), flat_row);
      for (int64_t o = 0; o < out; ++o) {
        const int64_t channel = g * out + o;
        const Vec b(bias ? static_cast<const float*>(bias)[channel] : 0.0f);
        float* to = static_cast<float*>(y) + ((image * c.out_channels + channel) * c.out_h + first) * c.out_w;
        for (int64_t r = 0; r < rows; ++r, to += c.out_w) {
          const float* from = flat.floats() + o * flat_row + r * f.columns;
          int64_t q = 0;
          for (; q + lanes <= c.out_w; q += lanes) store(to + q, load(from + q) + b);
          if (q < c.out_w) store(to + q, load(from + q, c.out_w - q) + b, c.out_w - q);
        }
      }
    }
  });
}

constexpr int64_t floor_div(int64_t x, int64_t y) { return x >= 0 ? x / y : -blocks_of(-x, y); }

// dx at s t + r - pad is the sum of w[tap] g[t - tap dilation / s] over the taps with tap dilation mod s = r:
// for each residue r modulo the stride s, a convolution of g with some of the taps. (One dimension shown.)
inline void conv2d_grad_input(const Conv2d& c, const void* g, const void* w, void* dx) {
  if (c.batch * c.in_channels * c.height * c.width == 0) return;
  if (pointwise(c)) {
    const int64_t area = c.height * c.width;
    Product p{};
    p.m = c.in_channels, p.n = area, p.k = c.out_channels;
    p.a = static_cast<const float*>(w), p.a_row = 1, p.a_col = p.m;
    p.b = static_cast<const float*>(g), p.b_row = area, p.b_col = 1;
    p.c = static_cast<float*>(dx), p.c_row = area;
    return multiply(p, c.batch, 0, p.k * area, p.m * area);
  }
  const int64_t in = c.in_channels / c.groups, out = c.out_channels / c.groups;
  const int64_t taps = c.kernel_h * c.kernel_w, residues = c.stride_h * c.stride_w;
  const int64_t reach_h = (c.kernel_h - 1) * c.dilation_h / c.stride_h;
  const int64_t reach_w = (c.kernel_w - 1) * c.dilation_w / c.stride_w;
  // Along height t, along width u: their range over all residues.
  const int64_t t_begin = floor_div(c.pad_h, c.stride_h);
  const int64_t t_end = floor_div(c.height - 1 + c.pad_h, c.stride_h) + 1;
  const int64_t u_begin = floor_div(c.pad_w, c.stride_w);
  const int64_t u_end = floor_div(c.width - 1 + c.pad_w, c.stride_w) + 1;
  Frame f;
  f.channels = out;
  f.height = c.out_h;
  f.width = c.out_w;
  f.left = u_begin - reach_w;
  f.columns = u_end - u_begin + reach_w;
  const int64_t strip = strip_rows(t_end - t_begin, f.columns * most(in, out));
  const int64_t strips = blocks_of(t_end - t_begin, strip);
  f.rows = strip + reach_h;

  // Residue r has the taps firsts[r] up to firsts[r + 1] of the sorted taps; (out, those) are its k.
  const Space sorted(taps), firsts(residues + 1), offsets(out * taps), weights(c.in_channels * out * taps);
  int32_t count = 0;
  int32_t* offset = offsets.words();
  float* packed = weights.floats();
  const int64_t height = weight_tile(in);
  for (int64_t r = 0; r < residues; ++r) {
    const int32_t first = firsts.words()[r] = count;
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t h = tap / c.kernel_w * c.dilation_h, v = tap % c.kernel_w * c.dilation_w;
      if (h % c.stride_h * c.stride_w + v % c.stride_w == r) sorted.words()[count++] = int32_t(tap);
    }
    firsts.words()[r + 1] = count;
    for (int64_t o = 0; o < out; ++o) {
      for (int32_t i = first; i < count; ++i) {
        const int64_t tap = sorted.words()[i];
        const int64_t h = tap / c.kernel_w * c.dilation_h, v = tap % c.kernel_w * c.dilation_w;
        *offset++ = int32_t(o * f.plane() - h / c.stride_h * f.columns - v / c.stride_w);
      }
    }
    for (int64_t group = 0; group < c.groups; ++group) {
      for (int64_t i = 0; i < in; i += height) {
        const int64_t rows = least(height, in - i);
        for (int64_t o = 0; o < out; ++o) {
          const float* from = static_cast<const float*>(w) + ((group * out + o) * in + i) * taps;
          for (int32_t s = first; s < count; ++s) {
            for (int64_t j = 0; j < rows; ++j) *packed++ = from[j * taps + sorted.words()[s]];
          }
        }
      }
    }
  }

  const int64_t work = most(1, in * out * taps * strip * f.columns);
  parallel_for(c.batch * c.groups * strips, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const int64_t flat_row = round_up((strip - 1) * f.columns + u_end - u_begin, lanes);
    const Space frame(f.size() + slack), flat(in * flat_row);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / (c.groups * strips), group = task / strips % c.groups;
      const int64_t t0 = t_begin + task % strips * strip;
      Frame mine = f;
      mine.top = t0 - reach_h;
      fill_frame(mine, static_cast<const float*>(g) + (image * c.out_channels + group * out) * c.out_h * c.out_w,
                 frame.floats());
      float* images = static_cast<float*>(dx) + (image * c.in_channels + group * in) * c.height * c.width;
      for (int64_t r = 0; r < residues; ++r) {
        // The element of dx at (t, u) is (s t + h, s u + v).
        const int64_t h = r / c.stride_w - c.pad_h, v = r % c.stride_w - c.pad_w;
        const int64_t first_t = most(t0, -floor_div(h, c.stride_h));
        const int64_t last_t = least(least(t0 + strip, t_end), floor_div(c.height - 1 - h, c.stride_h) + 1);
        const int64_t first_u = -floor_div(v, c.stride_w);
        const int64_t last_u = floor_div(c.width - 1 - v, c.stride_w) + 1;
        if (first_t >= last_t || first_u >= last_u) continue;
        const int64_t skipped = out * firsts.words()[r], mine_k = out * firsts.words()[r + 1] - skipped;
        const float* from_first = frame.floats() + (first_t - mine.top) * f.columns + first_u - f.left;
        const float* mine_weights = weights.floats() + in * (skipped * c.groups + group * mine_k);
        if (in * out == 1 && c.stride_w == 1) {
          correlate_one(from_first, f.columns, offsets.words() + skipped, mine_k, mine_weights, 0, last_t - first_t,
                        last_u - first_u, images + (first_t * c.stride_h + h) * c.width + first_u + v,
                        c.stride_h * c.width);
          continue;
        }
        correlate(from_first, offsets.words() + skipped, mine_k, mine_weights, in,
                  (last_t - first_t - 1) * f.columns + last_u - first_u, flat.floats(), flat_row);
        for (int64_t i = 0; i < in; ++i) {
          for (int64_t t = first_t; t < last_t; ++t) {
            const float* from = flat.floats() + i * flat_row + (t - first_t) * f.columns;
            float* to = images + (i * c.height + t * c.stride_h + h) * c.width + first_u * c.stride_w + v;
            if (c.stride_w == 1)
              copy_floats(from, last_u - first_u, to);
            else
              for (int64_t u = 0; u < last_u - first_u; ++u) to[u * c.stride_w] = from[u];
          }
        }
      }
    }
  });
}
