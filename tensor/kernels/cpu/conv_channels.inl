// Convolutions to many channels. Included after conv_frame.inl.
//
// A register holds neighbouring channels of the output, so that its pixels may be as many as they are: a tile is some
// pixels of a row of the output, or of two rows, by one or two registers of channels. Each step takes a register of
// weights, which were packed in the order in which they are used, and the pixels' inputs from a frame, one by one.

// Channels of a tile, and rows of a panel of packed weights.
constexpr int64_t panel_channels = 2 * lanes;

struct PixelTile {
  const float* frame;      // what the first pixel's first tap reads
  int64_t second;          // how far from it the second half of the pixels begins
  const int32_t* offsets;  // (k): where the others are
  const float* weights;    // (k, channels)
  const float* bias;       // (channels)
  int64_t k;
  float* to;  // (pixels, channels)
  // Lines that are written soon, so far from each other, and how many: brought into the caches meanwhile.
  const float* ahead;
  int64_t ahead_step, ahead_lines;
};

// The first half of the pixels lies side by side, and so does the second.
template <int pixels, int vectors>
void pixel_kernel(const PixelTile& t) {
  constexpr int half = (pixels + 1) / 2;
  const float* weights = t.weights;
  const int32_t* offsets = t.offsets;
  const int64_t steps = t.k, second = t.second;
  Vec sum[pixels][vectors];
  GRADUS_UNROLL
  for (int v = 0; v < vectors; ++v) {
    const Vec bias = load(t.bias + v * lanes);
    GRADUS_UNROLL
    for (int i = 0; i < pixels; ++i) sum[i][v] = bias;
  }
  const auto multiply = [&](int64_t p) {
    const float* left = t.frame + offsets[p];
    const float* right = left + second;
    asm("" : "+r"(left), "+r"(right));  // or compilers keep t.frame + i for each i, more than there are registers
    Vec weight[vectors];
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) weight[v] = load(weights + v * lanes);
    GRADUS_UNROLL
    for (int i = 0; i < pixels; ++i) {
      const Vec pixel(i < half ? left[i] : right[i - half]);
      GRADUS_UNROLL
      for (int v = 0; v < vectors; ++v) sum[i][v] = fma(pixel, weight[v], sum[i][v]);
    }
    weights += vectors * lanes;
  };
  const float* ahead = t.ahead;
  int64_t p = 0;
  for (const int64_t lines = least(t.ahead_lines, steps); p < lines; ++p, ahead += t.ahead_step) {
    __builtin_prefetch(ahead);
    multiply(p);
  }
  for (; p < steps; ++p) multiply(p);
  float* to = t.to;
  GRADUS_UNROLL
  for (int i = 0; i < pixels; ++i) {
    GRADUS_UNROLL
    for (int v = 0; v < vectors; ++v) store(to + (i * vectors + v) * lanes, sum[i][v]);
  }
}

using PixelKernel = void (*)(const PixelTile&);

// Pixels of a tile. Tiles of one register of channels have twice as many, as they take an input for each sum.
constexpr int64_t most_pixels(int64_t channels) { return channels == lanes ? 2 * max_rows : max_rows; }

template <int vectors>
struct PixelKernels {
  PixelKernel of[2 * max_rows] = {};
  template <int... i>
  constexpr explicit PixelKernels(std::integer_sequence<int, i...>) {
    ((of[i] = pixel_kernel<i + 1, vectors>), ...);
  }
};

inline PixelKernel pixel_kernel_for(int64_t pixels, int64_t channels) {
  static constexpr PixelKernels<1> of_one{std::make_integer_sequence<int, 2 * max_rows>()};
  static constexpr PixelKernels<2> of_two{std::make_integer_sequence<int, max_rows>()};
  return channels == lanes ? of_one.of[pixels - 1] : of_two.of[pixels - 1];
}

// Whether this pays: channels fill registers, all but a fifth at most, rows of pixels fill tiles, and sums are long
// enough that turning the output costs little.
inline bool channels_in_lanes(int64_t channels, int64_t columns, int64_t k) {
  return 5 * channels >= 4 * round_up(channels, lanes) && columns > 2 && k >= 8 * lanes;
}

// Floats of a tile's worth of rows of the output on their way from (pixels, channels) to (channels, pixels): they
// should stay in L1.
constexpr int64_t turned_floats = 1 << 13;

// How many of `rows` rows of so many pixels are turned together.
inline int64_t turned_rows(int64_t rows, int64_t columns) {
  return equal_blocks(rows, most(2, turned_floats / (panel_channels * columns)));
}

// Floats of work space for up to so many rows and columns. What is read reaches up to `lanes` pixels beyond the last.
inline int64_t turned_space(int64_t rows, int64_t columns) {
  const int64_t pixels = least(rows * columns, most(2 * columns, turned_floats / panel_channels));
  return (pixels + lanes) * panel_channels;
}

// to (channels, pixels) = from (pixels, padded channels). Addresses are stepped through in the open: compilers would
// keep a multiple of to_plane for each lane.
inline void turn(const float* from, int64_t padded, int64_t pixels, int64_t channels, float* to, int64_t to_plane) {
  for (int64_t i = 0; i < channels; i += lanes) {
    for (int64_t p = 0; p < pixels; p += lanes) {
      const int64_t across = least(lanes, pixels - p), down = least(lanes, channels - i);
      const float* pixel = from + p * padded + i;
      float* row = to + i * to_plane + p;
      Vec block[lanes];
      GRADUS_UNROLL
      for (int k = 0; k < lanes; ++k, pixel += padded) {
        asm("" : "+r"(pixel));
        block[k] = load(pixel);
      }
      transpose(block);
      GRADUS_UNROLL
      for (int k = 0; k < lanes; ++k, row += to_plane) {
        asm("" : "+r"(row));
        if (k >= down) continue;
        if (across == lanes)
          store(row, block[k]);
        else
          store(row, block[k], across);
      }
    }
  }
}

// Rows of the output: rows of `columns` pixels, of which the first reads at `frame` and each other frame_row on, to
// `channels` planes, one row after the other. `weights` has panels of (k, panel_channels), the last perhaps narrower,
// and as many biases. space: turned_space(rows, columns) floats.
inline void correlate_channels(const float* frame, int64_t frame_row, const int32_t* offsets, int64_t k,
                               const float* weights, const float* bias, int64_t channels, int64_t rows,
                               int64_t columns, float* to, int64_t to_plane, float* space) {
  const int64_t some_rows = turned_rows(rows, columns);
  PixelTile t;
  t.offsets = offsets;
  t.k = k;
  for (int64_t o = 0; o < channels; o += panel_channels) {
    const int64_t mine = least(panel_channels, channels - o), padded = round_up(mine, lanes);
    const int64_t most = most_pixels(padded), width = equal_blocks(columns, most);
    const bool pairs = 2 * columns <= most;  // of rows
    t.weights = weights + o * k;
    t.bias = bias + o;
    t.ahead_step = to_plane;
    t.ahead_lines = mine;
    for (int64_t first = 0; first < rows; first += some_rows) {
      const int64_t last = least(rows, first + some_rows);
      t.to = space;
      for (int64_t r = first; r < last;) {
        const bool pair = pairs && r + 1 < last;
        for (int64_t q = 0; q < columns; q += width) {
          const int64_t some = least(width, columns - q), pixels = pair ? 2 * some : some;
          t.frame = frame + r * frame_row + q;
          t.second = pair ? frame_row : (some + 1) / 2;
          t.ahead = to + o * to_plane + r * columns + q;
          pixel_kernel_for(pixels, padded)(t);
          t.to += pixels * padded;
        }
        r += pair ? 2 : 1;
      }
      turn(space, padded, (last - first) * columns, mine, to + o * to_plane + first * columns, to_plane);
    }
  }
}
