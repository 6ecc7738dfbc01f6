// Convolutions of 3 x 3 by steps of one with a quarter of the multiplications: F(4x4, 3x3) of Winograd (Lavin and Gray
// 2016, "Fast algorithms for convolutional neural networks", section 4). Included after conv_channels.inl.
//
// A tile y of 4 x 4 outputs of one channel depends on a patch d of 6 x 6 inputs of each: y = A' [sum of (G g G') *
// (B' d B)] A, where g are the weights, * is element by element, and the sum goes over the input channels. So there is
// a product of matrices, (tiles, in) by (in, out), for each of 36 points, not 9 x 16 multiplications for each tile.
// The gradient of the inputs is a convolution, too, and that of the weights the derivative of the formula: dg = G' [sum
// of (B' d B) * (A dy A')] G, where the sum goes over all tiles.
//
// Rounding: results are off by about twice as much as sums of all products, 1e-6 of the outputs' root mean square, and
// are not to the last bit what another batch size gives, for which all products may pay. What is not finite spoils all
// outputs of the patches it is in. Patches of zeros give zeros, but outputs that depend only on the zeros of other
// patches are zero but for rounding.

// --- the transformations -------------------------------------------------------------------------------------------

constexpr int tile_side = 4, patch_side = 6, points = patch_side * patch_side;

// The matrices come from polynomials that are multiplied by way of their values at 0, at +-a, at +-b and at infinity.
// These a and b, which float32 holds exactly with all their products below, round half as much as the usual 1 and 2.
constexpr double point_a = 0.625, point_b = 1.5, a_2 = point_a * point_a, b_2 = point_b * point_b;

inline void transform_one(const Vec (&g)[3], Vec (&u)[patch_side]) {  // G g
  constexpr double of_a = 1 / (2 * a_2 * (a_2 - b_2)), of_b = 1 / (2 * b_2 * (b_2 - a_2));
  const Vec even_a = fma(Vec(of_a * a_2), g[2], Vec(of_a) * g[0]), odd_a = Vec(of_a * point_a) * g[1];
  const Vec even_b = fma(Vec(of_b * b_2), g[2], Vec(of_b) * g[0]), odd_b = Vec(of_b * point_b) * g[1];
  u[0] = Vec(1 / (a_2 * b_2)) * g[0];
  u[1] = even_a + odd_a, u[2] = even_a - odd_a;
  u[3] = even_b + odd_b, u[4] = even_b - odd_b;
  u[5] = g[2];
}

inline void transform_one(const Vec (&u)[patch_side], Vec (&g)[3]) {  // G' u
  constexpr double of_a = 1 / (2 * a_2 * (a_2 - b_2)), of_b = 1 / (2 * b_2 * (b_2 - a_2));
  const Vec even_a = Vec(of_a) * (u[1] + u[2]), odd_a = Vec(of_a * point_a) * (u[1] - u[2]);
  const Vec even_b = Vec(of_b) * (u[3] + u[4]), odd_b = Vec(of_b * point_b) * (u[3] - u[4]);
  g[0] = fma(Vec(1 / (a_2 * b_2)), u[0], even_a + even_b);
  g[1] = odd_a + odd_b;
  g[2] = fma(Vec(a_2), even_a, fma(Vec(b_2), even_b, u[5]));
}

inline void transform_one(const Vec (&d)[patch_side], Vec (&v)[patch_side]) {  // B' d
  const Vec even_a = fma(Vec(-b_2), d[2], d[4]), odd_a = Vec(point_a) * fma(Vec(-b_2), d[1], d[3]);
  const Vec even_b = fma(Vec(-a_2), d[2], d[4]), odd_b = Vec(point_b) * fma(Vec(-a_2), d[1], d[3]);
  v[0] = fma(Vec(-a_2 - b_2), d[2], fma(Vec(a_2 * b_2), d[0], d[4]));
  v[1] = even_a + odd_a, v[2] = even_a - odd_a;
  v[3] = even_b + odd_b, v[4] = even_b - odd_b;
  v[5] = fma(Vec(-a_2 - b_2), d[3], fma(Vec(a_2 * b_2), d[1], d[5]));
}

inline void transform_one(const Vec (&p)[patch_side], Vec (&y)[tile_side]) {  // A' p
  const Vec even_a = p[1] + p[2], odd_a = p[1] - p[2], even_b = p[3] + p[4], odd_b = p[3] - p[4];
  y[0] = p[0] + even_a + even_b;
  y[1] = fma(Vec(point_a), odd_a, Vec(point_b) * odd_b);
  y[2] = fma(Vec(a_2), even_a, Vec(b_2) * even_b);
  y[3] = fma(Vec(point_a * a_2), odd_a, fma(Vec(point_b * b_2), odd_b, p[5]));
}

inline void transform_one(const Vec (&y)[tile_side], Vec (&p)[patch_side]) {  // A y
  const Vec even_a = fma(Vec(a_2), y[2], y[0]), odd_a = Vec(point_a) * fma(Vec(a_2), y[3], y[1]);
  const Vec even_b = fma(Vec(b_2), y[2], y[0]), odd_b = Vec(point_b) * fma(Vec(b_2), y[3], y[1]);
  p[0] = y[0];
  p[1] = even_a + odd_a, p[2] = even_a - odd_a;
  p[3] = even_b + odd_b, p[4] = even_b - odd_b;
  p[5] = y[3];
}

// Transforms each row and then each column: put(i, j, result) of what get(i, j) gives.
template <int from, int to, class Get, class Put>
inline __attribute__((always_inline)) void transform(const Get& get, const Put& put) {
  Vec half[from][to];
  GRADUS_UNROLL
  for (int i = 0; i < from; ++i) {
    Vec row[from];
    GRADUS_UNROLL
    for (int j = 0; j < from; ++j) row[j] = get(i, j);
    transform_one(row, half[i]);
  }
  GRADUS_UNROLL
  for (int j = 0; j < to; ++j) {
    Vec column[from], result[to];
    GRADUS_UNROLL
    for (int i = 0; i < from; ++i) column[i] = half[i][j];
    transform_one(column, result);
    GRADUS_UNROLL
    for (int i = 0; i < to; ++i) put(i, j, result[i]);
  }
}

// --- blocks of tiles -----------------------------------------------------------------------------------------------

// Tiles are taken by the block: some rows of tiles of an image, or all tiles of some images.
struct TileBlocks {
  int64_t tiles_w, strip, strips, parts;  // strip: rows of tiles; parts: images, 1 where there are several strips
  int64_t pieces;                         // strips of all images

  // Of about `wanted` tiles.
  TileBlocks(const Conv2d& c, int64_t wanted) : tiles_w(blocks_of(c.out_w, tile_side)) {
    const int64_t tiles_h = blocks_of(c.out_h, tile_side);
    strip = equal_blocks(tiles_h, most(1, wanted / tiles_w));
    strips = blocks_of(tiles_h, strip);
    parts = strips > 1 ? 1 : equal_blocks(c.batch, most(1, wanted / (strip * tiles_w)));
    pieces = c.batch * strips;
  }
  int64_t count() const { return blocks_of(pieces, parts); }
  int64_t strip_tiles() const { return strip * tiles_w; }
  int64_t most_tiles() const { return parts * strip_tiles(); }
  int64_t first(int64_t block) const { return block * parts; }
  int64_t last(int64_t block) const { return least(pieces, (block + 1) * parts); }
  int64_t tiles(int64_t block) const { return (last(block) - first(block)) * strip_tiles(); }
};

// Matrices of all points lie so far from each other: lines at the same place of each do not share places in the caches.
inline int64_t point_step(int64_t floats) { return round_up(floats, 2 * cache_line) + cache_line; }

// Cuts images of `channels` channels into squares of side x side that are four apart, each with its channels innermost,
// and transforms them.
template <int side>
class Squares {
 public:
  Squares(const TileBlocks& blocks, int64_t channels, int64_t height, int64_t width, int64_t pad_h, int64_t pad_w)
      : blocks_(blocks),
        channels_(channels),
        row_(round_up(channels, lanes)),
        height_(height),
        width_(width),
        pad_h_(pad_h),
        rows_(blocks.strip * tile_side + side - tile_side),
        columns_(blocks.tiles_w * tile_side + side - tile_side),
        frame_(rows_ * columns_ * row_),
        places_(rows_ * width) {
    clear_floats(frame_.floats(), rows_ * columns_ * row_);
    for (int64_t r = 0; r < rows_; ++r)
      for (int64_t q = 0; q < width; ++q) places_.words()[r * width + q] = int32_t((r * columns_ + pad_w + q) * row_);
  }

  // Channel k of tile i at point p to to[p * step + i * round_up(channels, lanes) + k]. Images are image_step apart.
  void cut(int64_t block, const float* images, int64_t image_step, float* to, int64_t step) const {
    for (int64_t piece = blocks_.first(block); piece < blocks_.last(block); ++piece) {
      lay(images + piece / blocks_.strips * image_step, piece % blocks_.strips * blocks_.strip * tile_side - pad_h_);
      for (int64_t t = 0; t < blocks_.strip_tiles(); ++t, to += row_) {
        const int64_t r = t / blocks_.tiles_w * tile_side, q = t % blocks_.tiles_w * tile_side;
        const float* from = frame_.floats() + (r * columns_ + q) * row_;
        for (int64_t k = 0; k < row_; k += lanes) {
          transform<side, patch_side>([&](int i, int j) { return load(from + (i * columns_ + j) * row_ + k); },
                                      [&](int i, int j, Vec x) { store(to + (i * patch_side + j) * step + k, x); });
        }
      }
    }
  }

 private:
  // Rows of the image from `top` on to the frame, whose margins on the left and right are zero already.
  void lay(const float* image, int64_t top) const {
    const int64_t first = most(0, top), last = most(first, least(height_, top + rows_));
    const int64_t pixels = (last - first) * width_, area = height_ * width_, line = columns_ * row_;
    float* to = frame_.floats() + (first - top) * line;
    clear_floats(frame_.floats(), (first - top) * line);
    clear_floats(to + (last - first) * line, (rows_ - (last - top)) * line);
    for (int64_t p = 0; p < pixels; p += lanes) {
      const int64_t now = least(lanes, pixels - p);
      const int32_t* place = places_.words() + p;
      for (int64_t k = 0; k < channels_; k += lanes) {
        const float* from = image + k * area + first * width_ + p;
        Vec block[lanes];
        if (now == lanes && k + lanes <= channels_) {
          GRADUS_UNROLL
          for (int l = 0; l < lanes; ++l, from += area) block[l] = load(from);
          transpose(block);
          GRADUS_UNROLL
          for (int l = 0; l < lanes; ++l) store(to + place[l] + k, block[l]);
        } else {
          for (int l = 0; l < lanes; ++l) block[l] = k + l < channels_ ? load(from + l * area, now) : Vec(0.0);
          transpose(block);
          for (int64_t l = 0; l < now; ++l) store(to + place[l] + k, block[l]);
        }
      }
    }
  }

  const TileBlocks& blocks_;
  int64_t channels_, row_, height_, width_, pad_h_, rows_, columns_;
  Space frame_, places_;
};

// --- convolutions and their gradients -------------------------------------------------------------------------------

// Whether this pays, in multiply-adds: 36 for each tile and pair of channels, against 9 for each pixel. Besides, as
// measured, each value at a point of a tile's inputs or outputs takes as long as 8 of them, channels filled up to whole
// registers; and each weight at a point, once for the whole batch, as long as 12, or 24 from beyond the caches. A block
// is a row of tiles at least: those of images wider than any photograph would take much memory, on each thread.
inline bool winograd_pays(const Conv2d& c) {
  const bool fits = c.kernel_h == 3 && c.kernel_w == 3 && least(c.pad_h, c.pad_w) >= 0 &&
                    most(c.pad_h, c.pad_w) <= 2 && c.groups == 1 &&
                    c.stride_h * c.stride_w * c.dilation_h * c.dilation_w == 1;
  const int64_t in = c.in_channels, out = c.out_channels;
  const int64_t tiles = blocks_of(c.out_h, tile_side) * blocks_of(c.out_w, tile_side);
  const int64_t values = round_up(in, lanes) + round_up(out, lanes);
  const bool narrow = blocks_of(c.out_w, tile_side) * most(in, out) <= 1 << 17;
  return fits && narrow &&
         points * (c.batch * tiles * (in * round_up(out, lanes) + 8 * values) + 24 * in * out) <
             9 * c.batch * c.out_h * c.out_w * in * out;
}

// The convolution of stride 1 that gives the gradient of the input, by weights turned around and transposed.
inline Conv2d turned(const Conv2d& c) {
  Conv2d d = c;
  d.in_channels = c.out_channels, d.height = c.out_h, d.width = c.out_w;
  d.out_channels = c.in_channels, d.out_h = c.height, d.out_w = c.width;
  d.pad_h = c.kernel_h - 1 - c.pad_h, d.pad_w = c.kernel_w - 1 - c.pad_w;
  return d;
}

// The weights (out, in, 3, 3) at all points, by panels of output channels: (points, in, panel_channels), of the last
// panel as many as fill registers. `turned`: those of the convolution that gives the gradient of the input of one with
// weights (in, out, 3, 3).
inline void winograd_weights(const float* w, bool turned, int64_t in, int64_t out, float* to) {
  const int64_t out_step = turned ? 9 : in * 9, in_step = turned ? out * 9 : 9;
  parallel_for(blocks_of(out, lanes) * in, 128, [&](int64_t begin, int64_t end) {
    float taps[9 * lanes];
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / in * lanes, i = task % in, panel = o / panel_channels * panel_channels;
      const int64_t width = least(panel_channels, round_up(out - panel, lanes));
      pack_transposed(w + o * out_step + i * in_step, out_step, least(lanes, out - o), 9, taps, lanes);
      float* place = to + (panel * points * in) + i * width + o - panel;
      transform<3, patch_side>(
          [&](int h, int v) { return load(taps + (turned ? 8 - 3 * h - v : 3 * h + v) * lanes); },
          [&](int h, int v, Vec u) { store(place + (h * patch_side + v) * in * width, u); });
    }
  });
}

inline void winograd(const Conv2d& c, const void* x, const void* w, bool turned, const void* bias, void* y) {
  const int64_t in = c.in_channels, out = c.out_channels, in_row = round_up(in, lanes);
  const int64_t area = c.out_h * c.out_w;
  // What a block's inputs and products take, 512 KB, stays in L2; but many weights come from afar for each block, and
  // should be worth it.
  const TileBlocks blocks(c, most(32, (1 << 17) / (points * (in_row + panel_channels))));
  // Where there are fewer blocks than threads, several make a block's outputs, and each cuts its inputs for itself.
  const int64_t panels = blocks_of(out, panel_channels);
  const int64_t some_out = panel_channels * blocks_of(panels, blocks_of(num_threads(), blocks.count()));
  const int64_t shares = blocks_of(out, some_out);
  const Space weights(points * in * round_up(out, lanes)), biases(round_up(out, lanes));
  winograd_weights(floats(w), turned, in, out, weights.floats());
  clear_floats(biases.floats(), round_up(out, lanes));
  if (bias) copy_floats(floats(bias), out, biases.floats());
  parallel_for(blocks.count() * shares, 1, [&](int64_t begin, int64_t end) {
    const int64_t in_step = point_step(blocks.most_tiles() * in_row);
    const int64_t out_step = point_step(blocks.most_tiles() * panel_channels);
    const Squares<patch_side> patches(blocks, in, c.height, c.width, c.pad_h, c.pad_w);
    const Space inputs(points * in_step), products(points * out_step),
        pixels((blocks.strip * tile_side * c.out_w + lanes) * panel_channels);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task / shares, o_begin = task % shares * some_out;
      patches.cut(block, floats(x), in * c.height * c.width, inputs.floats(), in_step);
      const int64_t tiles = blocks.tiles(block), height = equal_blocks(tiles, max_rows);
      for (int64_t o = o_begin; o < least(out, o_begin + some_out); o += panel_channels) {
        const int64_t mine = least(panel_channels, out - o), width = round_up(mine, lanes);
        Tile t;
        t.a_row = in_row, t.a_step = 1;
        t.b_step = t.c_row = t.columns = width;
        t.k = in;
        for (int64_t p = 0; p < points; ++p) {
          t.b = weights.floats() + (o * points + p * width) * in;
          for (int64_t i = 0; i < tiles; i += height) {
            t.a = inputs.floats() + p * in_step + i * in_row;
            t.c = products.floats() + p * out_step + i * width;
            micro_kernel_for<false, BRows::whole>(least(height, tiles - i), width)(t);
          }
        }
        const float* from = products.floats();
        for (int64_t piece = blocks.first(block); piece < blocks.last(block); ++piece) {
          const int64_t top = piece % blocks.strips * blocks.strip * tile_side;
          const int64_t rows = least(c.out_h - top, blocks.strip * tile_side);
          for (int64_t tile = 0; tile < blocks.strip_tiles(); ++tile, from += width) {
            const int64_t r = tile / blocks.tiles_w * tile_side, q = tile % blocks.tiles_w * tile_side;
            float* to = pixels.floats() + (r * c.out_w + q) * width;
            for (int64_t k = 0; k < width; k += lanes) {
              const Vec added = load(biases.floats() + o + k);
              transform<patch_side, tile_side>(
                  [&](int i, int j) { return load(from + (i * patch_side + j) * out_step + k); },
                  [&](int i, int j, Vec sum) {
                    if (r + i < rows && q + j < c.out_w) store(to + (i * c.out_w + j) * width + k, sum + added);
                  });
            }
          }
          turn(pixels.floats(), width, rows * c.out_w, mine,
               floats(y) + (piece / blocks.strips * out + o) * area + top * c.out_w, area);
        }
      }
    }
  });
}

// The sums of chunks of `total` floats each, in their order.
inline void add_chunks(const float* partial, int64_t chunks, int64_t total, float* to) {
  parallel_for(total, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float sum = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk) sum += partial[chunk * total + i];
      to[i] = sum;
    }
  });
}

inline void winograd_grad_weight(const Conv2d& c, const void* x, const void* g, void* dw) {
  const int64_t in = c.in_channels, out = c.out_channels, total = out * in * 9;
  // Sums at the points, 1.2 MB at most, are read and written for each block; each chunk of blocks has some of its own.
  const TileBlocks blocks(c, 64);
  const int64_t some_in = equal_blocks(in, 64), some_out = round_up(equal_blocks(out, 128), lanes);
  const int64_t in_blocks = blocks_of(in, some_in), out_blocks = blocks_of(out, some_out);
  const int64_t per_chunk = blocks_of(blocks.count(), most(1, least(16, (1 << 20) / total)));
  const int64_t chunks = blocks_of(blocks.count(), per_chunk);
  const Space partial(chunks > 1 ? chunks * total : 0);
  parallel_for(chunks * in_blocks * out_blocks, 1, [&](int64_t begin, int64_t end) {
    const int64_t x_area = c.height * c.width, g_area = c.out_h * c.out_w;
    const int64_t in_step = point_step(blocks.most_tiles() * round_up(some_in, lanes));
    const int64_t out_step = point_step(blocks.most_tiles() * some_out);
    const Space inputs(points * in_step), outputs(points * out_step), sums(points * some_in * some_out);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t chunk = task / (in_blocks * out_blocks), i0 = task / out_blocks % in_blocks * some_in;
      const int64_t o0 = task % out_blocks * some_out, ins = least(some_in, in - i0),
                    outs = least(some_out, out - o0);
      const Squares<patch_side> patches(blocks, ins, c.height, c.width, c.pad_h, c.pad_w);
      const Squares<tile_side> tiles(blocks, outs, c.out_h, c.out_w, 0, 0);
      Tile t;
      t.a_step = round_up(ins, lanes);
      t.b_step = t.c_row = round_up(outs, lanes);
      const int64_t height = equal_blocks(ins, max_rows), width = tile_width(height, outs);
      const int64_t first = chunk * per_chunk, last = least(blocks.count(), first + per_chunk);
      for (int64_t block = first; block < last; ++block) {
        patches.cut(block, floats(x) + i0 * x_area, in * x_area, inputs.floats(), in_step);
        tiles.cut(block, floats(g) + o0 * g_area, out * g_area, outputs.floats(), out_step);
        t.k = blocks.tiles(block);
        for (int64_t p = 0; p < points; ++p) {
          for (int64_t o = 0; o < t.b_step; o += width) {
            t.b = outputs.floats() + p * out_step + o;
            t.columns = least(width, t.b_step - o);
            for (int64_t i = 0; i < ins; i += height) {
              t.a = inputs.floats() + p * in_step + i;
              t.c = sums.floats() + (p * ins + i) * t.c_row + o;
              t.residual = block > first ? t.c : nullptr;
              micro_kernel_for<true, BRows::whole>(least(height, ins - i), t.columns)(t);
            }
          }
        }
      }
      float* to = (chunks > 1 ? partial.floats() + chunk * total : floats(dw)) + (o0 * in + i0) * 9;
      for (int64_t o = 0; o < outs; o += lanes) {
        for (int64_t i = 0; i < ins; ++i) {
          float taps[9][lanes];
          transform<patch_side, 3>(
              [&](int h, int v) { return load(sums.floats() + ((h * patch_side + v) * ins + i) * t.c_row + o); },
              [&](int h, int v, Vec sum) { store(taps[3 * h + v], sum); });
          for (int64_t l = 0; l < least(lanes, outs - o); ++l)
            for (int64_t tap = 0; tap < 9; ++tap) to[((o + l) * in + i) * 9 + tap] = taps[tap][l];
        }
      }
    }
  });
  if (chunks > 1) add_chunks(partial.floats(), chunks, total, floats(dw));
}
