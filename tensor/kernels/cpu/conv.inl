// Convolutions of float images and the gradient of their inputs, without im2col. Included after conv_channels.inl.

// --- pixels in lanes -----------------------------------------------------------------------------------------------

// A register holds neighbouring pixels. The output, computed at the frame's row length, is a matrix product in which
// row (channel, tap) of the right matrix is the frame from some offset on. Columns that the frame has more than the
// output are dropped.

// Rows of weights for micro-kernels: tiles of `height` rows one after another, each with its rows side by side.
inline int64_t weight_tile(int64_t rows) { return equal_blocks(rows, max_rows); }

// out (rows, length) = weights (rows, k) times the matrix whose row p begins at frame + offsets[p], + bias (rows).
inline void correlate(const float* frame, const int32_t* offsets, int64_t k, const float* weights, const float* bias,
                      int64_t rows, int64_t length, float* out, int64_t out_row) {
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
      t.row_bias = bias + i;
      micro_kernel_for<true, BRows::table>(tile_rows, t.columns)(t);
    }
  }
}

// If the taps are three rows of as many, each one row of the frame down (up) from the last, 1 (-1), or else 0.
inline int64_t three_rows(const int32_t* offsets, int64_t k, int64_t frame_row) {
  if (k % 3 != 0) return 0;
  const int64_t step = offsets[k / 3] - offsets[0];
  for (int64_t p = k / 3; p < k; ++p) {
    if (offsets[p] - offsets[p - k / 3] != step) return 0;
  }
  return step == frame_row ? 1 : step == -frame_row ? -1 : 0;
}

// Of one row of weights, straight to where the result belongs: `rows` rows of `columns` elements, of which the first
// begins at the frame's first element and each other `frame_row` on.
inline void correlate_one(const float* frame, int64_t frame_row, const int32_t* offsets, int64_t k,
                          const float* weights, float bias, int64_t rows, int64_t columns, float* to,
                          int64_t to_row) {
  constexpr int together = 7;  // rows, whose sums are under way at a time: images often have some 7 of them
  const int64_t in_row = k / 3, way = three_rows(offsets, k, frame_row);
  const int64_t top = way > 0 ? 0 : k - in_row, down = way * in_row;  // of the taps that read the topmost row
  for (int64_t r = 0; r < rows; r += together) {
    const int64_t now = least(together, rows - r);
    const float* row[together + 2];  // of fewer rows, the last are read again
    for (int64_t i = 0; i < together + 2; ++i) row[i] = frame + (r + least(i, way ? now + 1 : now - 1)) * frame_row;
    for (int64_t j = 0; j < columns; j += lanes) {
      Vec sum[together];
      GRADUS_UNROLL
      for (int i = 0; i < together; ++i) sum[i] = Vec(0.0);
      if (way) {  // what is read counts in three rows
        for (int64_t p = top; p < top + in_row; ++p) {
          const Vec weight[] = {Vec(weights[p]), Vec(weights[p + down]), Vec(weights[p + 2 * down])};
          GRADUS_UNROLL
          for (int q = 0; q < together + 2; ++q) {
            Vec read = load(row[q] + offsets[p] + j);
            hold(read);
            GRADUS_UNROLL
            for (int h = 0; h < 3; ++h) {
              if (q >= h && q - h < together) sum[q - h] = fma(weight[h], read, sum[q - h]);
            }
          }
        }
      } else {
        for (int64_t p = 0; p < k; ++p) {
          const Vec weight(weights[p]);
          const int64_t at = offsets[p] + j;
          GRADUS_UNROLL
          for (int i = 0; i < together; ++i) sum[i] = fma(weight, load(row[i] + at), sum[i]);
        }
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

// --- the two of them ------------------------------------------------------------------------------------------------

// Whether it is a product of the weights with each image as it lies: of one tap, over every position. Images of few
// positions are better off together in frames.
inline bool pointwise(const Conv2d& c) {
  return c.kernel_h * c.kernel_w * c.stride_h * c.stride_w * c.groups == 1 && c.pad_h + c.pad_w == 0 &&
         c.out_h * c.out_w >= lanes;
}

inline void conv2d(const Conv2d& c, const void* x, const void* w, const void* bias, void* y) {
  if (c.batch * c.out_channels * c.out_h * c.out_w == 0) return;
  if (winograd_pays(c)) return winograd(c, x, w, false, bias, y);
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
  const bool by_channels = channels_in_lanes(out, c.out_w, k);
  const int64_t reach = (c.kernel_w - 1) * c.dilation_w / c.stride_w;
  Frame f = input_frame(c, in, !by_channels && exact_pays(out, c.kernel_w, reach, c.out_w));
  const int64_t strip = strip_rows(c.out_h, f.columns * most(out, in * f.phases_h * f.copies));
  const int64_t strips = blocks_of(c.out_h, strip);
  f.rows = input_rows(c, strip);

  const int64_t height = by_channels ? panel_channels : weight_tile(out);
  const int64_t padded = by_channels ? round_up(out, lanes) : out;
  const Space offsets(k), weights(c.groups * padded * k + slack), biases(c.groups * padded);
  input_offsets(c, f, offsets.words());
  const int64_t tiles = blocks_of(out, height);
  // What a tile of a height that is no whole register writes too much lies under the next one.
  const int64_t grain = by_channels ? most(1, (1 << 14) / (height * k)) : c.groups * tiles;
  parallel_for(c.groups * tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t g = tile / tiles, i = tile % tiles * height, rows = least(height, out - i);
      pack_transposed(static_cast<const float*>(w) + (g * out + i) * k, k, rows, k,
                      weights.floats() + (g * padded + i) * k, by_channels ? round_up(rows, lanes) : rows);
    }
  });
  clear_floats(biases.floats(), c.groups * padded);
  for (int64_t g = 0; g < c.groups && bias; ++g) {
    copy_floats(static_cast<const float*>(bias) + g * out, out, biases.floats() + g * padded);
  }

  const int64_t work = most(1, out * k * strip * f.columns);
  parallel_for(c.batch * c.groups * strips, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const int64_t flat_row = round_up(strip * f.columns, lanes);
    const Space frame(f.size() + slack), space(by_channels ? turned_space(strip, c.out_w)
                                               : f.exact   ? 0
                                                           : out * flat_row);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t image = task / (c.groups * strips), g = task / strips % c.groups;
      const int64_t first = task % strips * strip, rows = least(strip, c.out_h - first);
      Frame mine = f;
      mine.top = first * c.stride_h - c.pad_h;
      fill_frame(mine, static_cast<const float*>(x) + (image * c.in_channels + g * in) * c.height * c.width,
                 frame.floats());
      const float *mine_weights = weights.floats() + g * padded * k, *mine_biases = biases.floats() + g * padded;
      float* to = static_cast<float*>(y) + ((image * c.groups + g) * out * c.out_h + first) * c.out_w;
      if (by_channels) {
        correlate_channels(frame.floats(), f.columns, offsets.words(), k, mine_weights, mine_biases, out, rows,
                           c.out_w, to, c.out_h * c.out_w, space.floats());
      } else if (in * out == 1) {
        correlate_one(frame.floats(), f.columns, offsets.words(), k, mine_weights, *mine_biases, rows, c.out_w, to,
                      c.out_w);
      } else if (f.exact) {
        correlate(frame.floats(), offsets.words(), k, mine_weights, mine_biases, out, rows * c.out_w, to,
                  c.out_h * c.out_w);
      } else {
        correlate(frame.floats(), offsets.words(), k, mine_weights, mine_biases, out,
                  (rows - 1) * f.columns + c.out_w, space.floats(), flat_row);
        for (int64_t o = 0; o < out; ++o) {
          for (int64_t r = 0; r < rows; ++r) {
            copy_floats(space.floats() + o * flat_row + r * f.columns, c.out_w, to + (o * c.out_h + r) * c.out_w);
          }
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
  if (winograd_pays(turned(c))) return winograd(turned(c), g, w, true, nullptr, dx);
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
  const bool by_channels = channels_in_lanes(in, u_end - u_begin, out * taps / residues);
  Frame f;
  f.exact = residues == 1 && !by_channels && exact_pays(in, c.kernel_w, reach_w, c.width);
  f.channels = out;
  f.height = c.out_h;
  f.width = c.out_w;
  f.copies = f.exact ? c.kernel_w : 1;
  f.copy_step = -c.dilation_w;
  f.left = f.exact ? u_begin : u_begin - reach_w;
  f.columns = u_end - u_begin + (f.exact ? 0 : reach_w);
  const int64_t strip = strip_rows(t_end - t_begin, f.columns * most(in, out * f.copies));
  const int64_t strips = blocks_of(t_end - t_begin, strip);
  f.rows = strip + reach_h;

  // Residue r has the taps firsts[r] up to firsts[r + 1] of the sorted taps; (out, those) are its k.
  const int64_t padded = by_channels ? round_up(in, lanes) : in;
  const int64_t height = by_channels ? panel_channels : weight_tile(in), tiles = blocks_of(in, height);
  const Space sorted(taps), firsts(residues + 1), offsets(out * taps), weights(c.groups * padded * out * taps);
  int32_t count = 0;
  int32_t* offset = offsets.words();
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
        *offset++ = f.exact ? int32_t((o * c.kernel_w + tap % c.kernel_w) * f.plane() - h * f.columns)
                            : int32_t(o * f.plane() - h / c.stride_h * f.columns - v / c.stride_w);
      }
    }
  }
  // For each residue and group, tiles of `height` channels: (out, taps, channels).
  parallel_for(c.groups * tiles * out, most(1, (1 << 14) / (height * taps)), [&](int64_t begin, int64_t end) {
    const Space turned(taps * round_up(height, lanes) + slack);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t group = task / (tiles * out), i = task / out % tiles * height, o = task % out;
      const int64_t rows = least(height, in - i), width = by_channels ? round_up(rows, lanes) : rows;
      pack_transposed(static_cast<const float*>(w) + ((group * out + o) * in + i) * taps, taps, rows, taps,
                      turned.floats(), width);
      for (int64_t r = 0; r < residues; ++r) {
        const int64_t first = firsts.words()[r], here = firsts.words()[r + 1] - first;
        float* packed =
            weights.floats() + (first * c.groups + group * here) * padded * out + (i * out + o * width) * here;
        for (int64_t s = 0; s < here; ++s) {
          copy_floats(turned.floats() + sorted.words()[first + s] * width, width, packed + s * width);
        }
      }
    }
  });

  const int64_t work = most(1, in * out * taps * strip * f.columns);
  parallel_for(c.batch * c.groups * strips, most(1, task_work / work), [&](int64_t begin, int64_t end) {
    const int64_t flat_row = round_up(strip * f.columns, lanes);
    const Space frame(f.size() + slack), flat(f.exact ? 0 : in * flat_row), biases(padded),
        space(by_channels ? turned_space(strip, u_end - u_begin) : 0);
    clear_floats(biases.floats(), padded);
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
        const float* from_first =
            frame.floats() + (first_t - mine.top) * f.columns + (f.exact ? 0 : first_u - f.left);
        const float* mine_weights = weights.floats() + padded * (skipped * c.groups + group * mine_k);
        const int64_t columns = last_u - first_u, count_t = last_t - first_t;
        float* to = images + (first_t * c.stride_h + h) * c.width + first_u * c.stride_w + v;
        int64_t from_row = f.columns;
        if (by_channels) {
          // Whole images lie as they are computed.
          const bool whole = c.stride_h * c.stride_w == 1 && columns == c.width;
          correlate_channels(from_first, f.columns, offsets.words() + skipped, mine_k, mine_weights, biases.floats(),
                             in, count_t, columns, whole ? to : flat.floats(), whole ? c.height * c.width : flat_row,
                             space.floats());
          if (whole) continue;
          from_row = columns;
        } else if (in * out == 1 && c.stride_w == 1) {
          correlate_one(from_first, f.columns, offsets.words() + skipped, mine_k, mine_weights, 0, count_t, columns,
                        to, c.stride_h * c.width);
          continue;
        } else if (f.exact) {
          correlate(from_first, offsets.words() + skipped, mine_k, mine_weights, biases.floats(), in,
                    count_t * columns, to, c.height * c.width);
          continue;
        } else {
          correlate(from_first, offsets.words() + skipped, mine_k, mine_weights, biases.floats(), in,
                    (count_t - 1) * f.columns + columns, flat.floats(), flat_row);
        }
        for (int64_t i = 0; i < in; ++i, to += c.height * c.width) {
          for (int64_t t = 0; t < count_t; ++t) {
            const float* from = flat.floats() + i * flat_row + t * from_row;
            float* row = to + t * c.stride_h * c.width;
            if (c.stride_w == 1)
              copy_floats(from, columns, row);
            else
              for (int64_t u = 0; u < columns; ++u) row[u * c.stride_w] = from[u];
          }
        }
      }
    }
  });
}
