// The gradient of a convolution's weights. Included after conv.inl.

// --- many channels -------------------------------------------------------------------------------------------------

// dw (out, taps x in) is g (out, positions) times the matrix whose row is what one position reads of an image that
// has its channels innermost: all channels of the taps of a kernel's row then lie side by side, a run.
inline int64_t run_taps(const Conv2d& c) { return c.dilation_w == 1 ? c.kernel_w : 1; }

// Whether such runs fill registers, all but a fifth at most; images as they lie are products already.
inline bool channels_fill_lanes(const Conv2d& c) {
  const int64_t run = run_taps(c) * (c.in_channels / c.groups);
  return 5 * run >= 4 * round_up(run, lanes) && !pointwise(c);
}

// Rows of g that a tile takes at most. They are far apart: of more, their addresses do not fit the registers.
constexpr int64_t far_rows = max_rows < 9 ? max_rows : 9;

// The rows of tiles so many registers wide: as many as leave no register of a tile idle.
inline int64_t rows_for_run(int64_t vectors) {
  for (int64_t rows = far_rows; rows > far_rows / 2; --rows) {
    if (vectors % vectors_for(int(rows)) == 0) return rows;
  }
  return far_rows;
}

// A padded copy of rows [top, top + rows) of some channels of an image, these innermost: (rows, columns, channels).
inline void fill_channels_last(const Conv2d& c, const float* image, int64_t channels, int64_t top, int64_t rows,
                               int64_t columns, float* to) {
  const int64_t left = least(c.pad_w, columns), inside = most(0, least(c.width, columns - left));
  for (int64_t r = 0; r < rows; ++r, to += columns * channels) {
    const int64_t y = top + r;
    if (y < 0 || y >= c.height) {
      clear_floats(to, columns * channels);
      continue;
    }
    clear_floats(to, left * channels);
    pack_transposed(image + y * c.width, c.height * c.width, channels, inside, to + left * channels, channels);
    clear_floats(to + (left + inside) * channels, (columns - left - inside) * channels);
  }
}

inline void grad_weight_by_channels(const Conv2d& c, const void* x, const void* g, void* dw) {
  const int64_t in = c.in_channels / c.groups, out = c.out_channels / c.groups;
  const int64_t taps = c.kernel_h * c.kernel_w, k = in * taps, total = c.out_channels * k;
  // Up to 512 positions per product, of some rows of an image or of some images: what they read by one run, 512 x 48
  // floats, stays in L2 while tiles of g go by. 128 are enough to be worth reading and writing a tile of sums.
  constexpr int64_t positions = 512, enough = 128;
  const int64_t strip = equal_blocks(c.out_h, most(1, positions / c.out_w));
  const int64_t strips = blocks_of(c.out_h, strip), pieces = c.batch * strips, most_area = strip * c.out_w;
  const int64_t parts = strips > 1 || most_area >= enough ? 1 : least(c.batch, positions / most_area);
  const int64_t rows = (strip - 1) * c.stride_h + (c.kernel_h - 1) * c.dilation_h + 1;
  const int64_t columns = (c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1;

  // About `wanted` tasks. Chunks of images cost a sum of their own each, blocks of channels another copy of g, blocks
  // of outputs another of x; this one should fit L2.
  constexpr int64_t wanted = 16;
  const int64_t most_chunks = least(blocks_of(pieces, parts), most(1, least(wanted, (1 << 20) / total)));
  const auto half = [](int64_t n) { return round_up(blocks_of(n, 2), lanes); };
  int64_t some_out = out, some_in = in;
  while (some_in > lanes && parts * rows * columns * some_in > 2 * frame_floats) some_in = half(some_in);
  while (blocks_of(in, some_in) * blocks_of(out, some_out) * c.groups * most_chunks < wanted) {
    if (some_out >= some_in && some_out > 2 * lanes)
      some_out = half(some_out);
    else if (some_in > 2 * lanes)
      some_in = half(some_in);
    else
      break;
  }
  const int64_t in_blocks = blocks_of(in, some_in), out_blocks = blocks_of(out, some_out);
  const int64_t blocks = c.groups * out_blocks * in_blocks;
  const int64_t per_chunk = round_up(blocks_of(pieces, least(most_chunks, blocks_of(wanted, blocks))), parts);
  const int64_t chunks = blocks_of(pieces, per_chunk);
  const int64_t frame_size = rows * columns * some_in;
  // Rows of g lie as they are, unless they are of several images or would share places in the caches; a copy of them
  // has rows of an odd number of lines.
  const bool in_place = parts == 1 && c.out_h * c.out_w % 512 != 0;
  const int64_t g_row = round_up(parts * strip * c.out_w, 2 * cache_line) + cache_line;
  const Space partial(chunks * total);  // for each chunk and block of inputs (out, taps, channels)

  parallel_for(blocks * chunks, 1, [&](int64_t begin, int64_t end) {
    const Space frames(parts * frame_size + slack + most_vectors * lanes), gs(in_place ? 0 : some_out * g_row),
        offsets(g_row);
    int64_t laid = 0, laid_ins = 0;  // positions, and channels of the frames
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / blocks, group = task / (out_blocks * in_blocks) % c.groups;
      const int64_t o0 = task / in_blocks % out_blocks * some_out, outs = least(some_out, out - o0);
      const int64_t i0 = task % in_blocks * some_in, ins = least(some_in, in - i0);
      float* to = partial.floats() + chunk * total + (group * out + o0) * k + i0 * taps;
      const int64_t piece_begin = chunk * per_chunk, piece_end = least(pieces, piece_begin + per_chunk);
      for (int64_t piece = piece_begin; piece < piece_end; piece += parts) {
        const int64_t now = least(parts, piece_end - piece);
        const int64_t first = piece % strips * strip, area = least(strip, c.out_h - first) * c.out_w;
        // Where the positions are in the frames; it takes divisions to find out, and mostly they stay where they were.
        if (now * area != laid || ins != laid_ins) {
          for (int64_t p = 0; p < now * area; ++p) {
            const int64_t part = p / area, q = p % area;
            offsets.words()[p] =
                int32_t(part * frame_size + (q / c.out_w * c.stride_h * columns + q % c.out_w * c.stride_w) * ins);
          }
          laid = now * area;
          laid_ins = ins;
        }
        for (int64_t part = 0; part < now; ++part) {
          const int64_t image = (piece + part) / strips;
          fill_channels_last(
              c, static_cast<const float*>(x) + (image * c.in_channels + group * in + i0) * c.height * c.width, ins,
              first * c.stride_h - c.pad_h, rows, columns, frames.floats() + part * frame_size);
          for (int64_t o = 0; o < outs && !in_place; ++o) {
            const int64_t channel = image * c.out_channels + group * out + o0 + o;
            copy_floats(static_cast<const float*>(g) + (channel * c.out_h + first) * c.out_w, area,
                        gs.floats() + o * g_row + part * area);
          }
        }
        const int64_t channel = piece / strips * c.out_channels + group * out + o0;
        const float* rows_of_g =
            in_place ? static_cast<const float*>(g) + (channel * c.out_h + first) * c.out_w : gs.floats();
        Tile t;
        t.a_row = in_place ? c.out_h * c.out_w : g_row;
        t.a_step = 1;
        t.b_rows = offsets.words();
        t.b_step = 0;
        t.k = now * area;
        t.c_row = k;
        const int64_t together = run_taps(c), run = together * ins;
        const int64_t height = equal_blocks(outs, rows_for_run(blocks_of(run, lanes)));
        const int64_t width = tile_width(height, run);
        for (int64_t tap = 0; tap < taps; tap += together) {
          const int64_t h = tap / c.kernel_w * c.dilation_h, v = tap % c.kernel_w * c.dilation_w;
          for (int64_t j = 0; j < run; j += width) {
            t.b = frames.floats() + (h * columns + v) * ins + j;
            t.columns = least(width, run - j);
            for (int64_t o = 0; o < outs; o += height) {
              const int64_t tile_rows = least(height, outs - o);
              t.a = rows_of_g + o * t.a_row;
              t.c = to + o * k + tap * ins + j;
              t.residual = piece > piece_begin ? t.c : nullptr;
              micro_kernel_for<false, BRows::table>(tile_rows, t.columns)(t);
            }
          }
        }
      }
    }
  });
  // The chunks' sums, in their order, and the channels outermost again.
  parallel_for(c.out_channels, most(1, (1 << 14) / (k * chunks)), [&](int64_t begin, int64_t end) {
    const Space sums(k), turned(k + taps * lanes + slack);
    for (int64_t o = begin; o < end; ++o) {
      copy_floats(partial.floats() + o * k, k, sums.floats());
      for (int64_t chunk = 1; chunk < chunks; ++chunk) {
        const float* more = partial.floats() + chunk * total + o * k;
        for (int64_t i = 0; i < k; i += lanes) {
          const int64_t n = least(lanes, k - i);
          store(sums.floats() + i, load(sums.floats() + i, n) + load(more + i, n), n);
        }
      }
      for (int64_t i = 0; i < in; i += some_in) {
        const int64_t ins = least(some_in, in - i);
        pack_transposed(sums.floats() + i * taps, ins, taps, ins, turned.floats() + i * taps, taps);
      }
      copy_floats(turned.floats(), k, static_cast<float*>(dw) + o * k);
    }
  });
}

// --- groups of one channel ------------------------------------------------------------------------------------------

// Adds what an image gives to the sums, a register each, of a kernel of 3 x 3 that goes by steps of one. Each register
// of the frame that is read counts in three of them, with g's row that is beside it and with the two above.
inline void add_three_by_three(const float* frame, int64_t frame_row, const float* g, int64_t rows, int64_t columns,
                               float* sums) {
  Vec sum[3][3];
  GRADUS_UNROLL
  for (int h = 0; h < 3; ++h) {
    GRADUS_UNROLL
    for (int v = 0; v < 3; ++v) sum[h][v] = load(sums + (3 * h + v) * lanes);
  }
  for (int64_t j = 0; j < columns; j += lanes) {
    const int64_t n = least(lanes, columns - j);
    Vec beside[3] = {Vec(0.0), Vec(0.0), Vec(0.0)};
    const auto add_row = [&](int64_t r) __attribute__((always_inline)) {
      GRADUS_UNROLL
      for (int v = 0; v < 3; ++v) {
        Vec read = load(frame + r * frame_row + j + v, n);
        hold(read);
        GRADUS_UNROLL
        for (int h = 0; h < 3; ++h) sum[h][v] = fma(beside[h], read, sum[h][v]);
      }
      beside[2] = beside[1], beside[1] = beside[0];
    };
    for (int64_t r = 0; r < rows; ++r) {
      beside[0] = load(g + r * columns + j, n);
      add_row(r);
    }
    beside[0] = Vec(0.0);
    add_row(rows);
    add_row(rows + 1);
  }
  GRADUS_UNROLL
  for (int h = 0; h < 3; ++h) {
    GRADUS_UNROLL
    for (int v = 0; v < 3; ++v) store(sums + (3 * h + v) * lanes, sum[h][v]);
  }
}

// Nine taps at a time have their sums in registers while the positions of an image go by.
inline void grad_weight_of_planes(const Conv2d& c, const void* x, const void* g, void* dw) {
  constexpr int together = 9;
  const int64_t taps = c.kernel_h * c.kernel_w, sets = blocks_of(taps, together);
  const bool three_by_three =
      c.kernel_h == 3 && c.kernel_w == 3 && c.stride_h * c.stride_w * c.dilation_h * c.dilation_w == 1;
  Frame f = input_frame(c, 1, false);
  f.top = -c.pad_h;
  f.rows = input_rows(c, c.out_h);
  const Space offsets(sets * together);
  clear_floats(offsets.floats(), sets * together);
  input_offsets(c, f, offsets.words());
  parallel_for(c.groups, 1, [&](int64_t begin, int64_t end) {
    const Space frame(f.size() + slack), sums(sets * together * lanes);
    for (int64_t group = begin; group < end; ++group) {
      clear_floats(sums.floats(), sets * together * lanes);
      for (int64_t image = 0; image < c.batch; ++image) {
        const int64_t plane = image * c.groups + group;
        fill_frame(f, static_cast<const float*>(x) + plane * c.height * c.width, frame.floats());
        const float* plane_of_g = static_cast<const float*>(g) + plane * c.out_h * c.out_w;
        if (three_by_three) {
          add_three_by_three(frame.floats(), f.columns, plane_of_g, c.out_h, c.out_w, sums.floats());
          continue;
        }
        for (int64_t set = 0; set < sets; ++set) {
          const int32_t* offset = offsets.words() + set * together;
          float* kept = sums.floats() + set * together * lanes;
          const float* from = plane_of_g;
          Vec sum[together];
          GRADUS_UNROLL
          for (int t = 0; t < together; ++t) sum[t] = load(kept + t * lanes);
          for (int64_t r = 0; r < c.out_h; ++r, from += c.out_w) {
            const float* row = frame.floats() + r * f.columns;
            int64_t j = 0;
            for (; j + lanes <= c.out_w; j += lanes) {
              const Vec some = load(from + j);
              GRADUS_UNROLL
              for (int t = 0; t < together; ++t) sum[t] = fma(some, load(row + offset[t] + j), sum[t]);
            }
            if (j == c.out_w) continue;
            const int64_t n = c.out_w - j;
            const Vec some = load(from + j, n);
            GRADUS_UNROLL
            for (int t = 0; t < together; ++t) sum[t] = fma(some, load(row + offset[t] + j, n), sum[t]);
          }
          GRADUS_UNROLL
          for (int t = 0; t < together; ++t) store(kept + t * lanes, sum[t]);
        }
      }
      for (int64_t t = 0; t < taps; ++t) {
        static_cast<float*>(dw)[group * taps + t] = total<Reduce::sum>(load(sums.floats() + t * lanes));
      }
    }
  });
}

// --- few channels --------------------------------------------------------------------------------------------------

// dw (out, in x taps) is g (out, positions) times the transpose of the matrix of conv2d: dot products of g as it lies
// and an exact frame from each offset on. Channels and outputs are cut into blocks for tasks of their own; where these
// are few, images are too, in chunks that each have their own sum.
inline void conv2d_grad_weight(const Conv2d& c, const void* x, const void* g, void* dw) {
  const int64_t in = c.in_channels / c.groups, out = c.out_channels / c.groups;
  const int64_t taps = c.kernel_h * c.kernel_w, k = in * taps, total = c.out_channels * k;
  if (total == 0) return;
  if (c.batch * c.out_h * c.out_w == 0) return clear_floats(static_cast<float*>(dw), total);
  if (winograd_pays(c)) return winograd_grad_weight(c, x, g, dw);
  if (in == 1 && out == 1 && c.groups > 4) return grad_weight_of_planes(c, x, g, dw);
  if (channels_fill_lanes(c)) return grad_weight_by_channels(c, x, g, dw);
  if (pointwise(c)) {
    const int64_t area = c.height * c.width;
    Product p{};
    p.m = out, p.n = in, p.k = area;
    p.a_row = area, p.a_col = 1;
    p.b_row = 1, p.b_col = area;
    p.c = static_cast<float*>(dw), p.c_row = in;
    for (int64_t image = 0; image < c.batch; ++image) {
      p.a = static_cast<const float*>(g) + image * out * area;
      p.b = static_cast<const float*>(x) + image * in * area;
      p.residual = image > 0 ? p.c : nullptr;
      multiply(p, 1, 0, 0, 0);
    }
    return;
  }

  Frame f = input_frame(c, in, true);
  // About 1024 positions per dot product, so that a tile's rows of g stay in L1: some rows of an image, or some
  // images.
  const int64_t strip = equal_blocks(c.out_h, most(1, dot_k_block / f.columns));
  const int64_t strips = blocks_of(c.out_h, strip), pieces = c.batch * strips;
  const int64_t length = strip * c.out_w;
  const int64_t parts = strips > 1 ? 1 : least(c.batch, most(1, dot_k_block / length));
  f.rows = input_rows(c, strip);

  // About `wanted` tasks. Chunks of images cost a sum of their own each, blocks of outputs another copy of x, which
  // should fit L2.
  constexpr int64_t wanted = 16;
  const int64_t most_chunks = least(blocks_of(pieces, parts), most(1, least(wanted, (1 << 20) / total)));
  int64_t some_out = equal_blocks(out, most(dot_rows, frame_floats / (parts * length)));
  int64_t some_in = equal_blocks(in, most(1, frame_floats / (parts * f.phases_h * f.copies * f.plane())));
  while (blocks_of(in, some_in) * blocks_of(out, some_out) * c.groups * most_chunks < wanted) {
    if (some_out >= some_in * taps && some_out > dot_rows)
      some_out = equal_blocks(some_out, some_out - 1);
    else if (some_in > 1)
      some_in = equal_blocks(some_in, some_in - 1);
    else
      break;
  }
  f.channels = some_in;
  const int64_t in_blocks = blocks_of(in, some_in), out_blocks = blocks_of(out, some_out);
  const int64_t blocks = c.groups * out_blocks * in_blocks;
  const int64_t per_chunk = round_up(blocks_of(pieces, least(most_chunks, blocks_of(wanted, blocks))), parts);
  const int64_t chunks = blocks_of(pieces, per_chunk);
  const int64_t frame_size = round_up(f.size() + slack, lanes), area = c.out_h * c.out_w;
  const Space offsets(some_in * taps), partial(chunks > 1 ? chunks * total : 0);
  input_offsets(c, f, offsets.words());

  parallel_for(blocks * chunks, 1, [&](int64_t begin, int64_t end) {
    const Space frames(parts * frame_size);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / blocks, group = task / (out_blocks * in_blocks) % c.groups;
      const int64_t o0 = task / in_blocks % out_blocks * some_out, outs = least(some_out, out - o0);
      const int64_t i0 = task % in_blocks * some_in, ins = least(some_in, in - i0);
      float* to = chunks > 1 ? partial.floats() + chunk * total : static_cast<float*>(dw);
      to += (group * out + o0) * k + i0 * taps;
      const int64_t piece_begin = chunk * per_chunk, piece_end = least(pieces, piece_begin + per_chunk);
      for (int64_t piece = piece_begin; piece < piece_end; piece += parts) {
        const int64_t now = least(parts, piece_end - piece);
        const int64_t first = piece % strips * strip, rows = least(strip, c.out_h - first);
        for (int64_t part = 0; part < now; ++part) {
          const int64_t image = (piece + part) / strips;
          Frame mine = f;
          mine.channels = ins;
          mine.top = first * c.stride_h - c.pad_h;
          fill_frame(mine,
                     static_cast<const float*>(x) + (image * c.in_channels + group * in + i0) * c.height * c.width,
                     frames.floats() + part * frame_size);
        }
        DotTile t;
        t.a_row = area;
        t.b = frames.floats();
        t.k = rows * c.out_w;
        t.parts = now;
        t.a_part = c.out_channels * area;
        t.b_part = frame_size;
        const float* rows_of_g = static_cast<const float*>(g) +
                                 (piece / strips * c.out_channels + group * out + o0) * area + first * c.out_w;
        const int64_t height = equal_blocks(outs, dot_rows);
        const int64_t width = equal_blocks(ins * taps, dot_columns_for(int(height)));
        float sum[most_dots];
        for (int64_t o = 0; o < outs; o += height) {
          const int64_t tile_rows = least(height, outs - o);
          t.a = rows_of_g + o * area;
          for (int64_t p = 0; p < ins * taps; p += width) {
            const int64_t tile_columns = least(width, ins * taps - p);
            for (int64_t l = 0; l < tile_columns; ++l) t.b_column[l] = offsets.words()[p + l];
            dot_kernel_for(tile_rows, tile_columns)(t, sum);
            for (int64_t r = 0; r < tile_rows; ++r) {
              float* element = to + (o + r) * k + p;
              for (int64_t l = 0; l < tile_columns; l += lanes) {
                const int64_t m = least(lanes, tile_columns - l);
                const Vec value = load(sum + r * tile_columns + l, m);
                store(element + l, piece > piece_begin ? load(element + l, m) + value : value, m);
              }
            }
          }
        }
      }
    }
  });
  if (chunks > 1) add_chunks(partial.floats(), chunks, total, static_cast<float*>(dw));
}

inline void fill_convolutions(KernelTable& table) {
  table.conv2d = conv2d;
  table.conv2d_grad_input = conv2d_grad_input;
  table.conv2d_grad_weight = conv2d_grad_weight;
}
