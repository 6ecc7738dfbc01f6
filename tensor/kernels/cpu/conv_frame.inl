// Padded copies of images, which convolutions of float images read. Included after gemm.inl.
//
// A copy that is split by the stride, so that neighbouring outputs read neighbouring elements, turns every convolution
// into one of stride 1 without padding: what a tap reads for all outputs is then simply the copy from some offset on.
// Nothing is rearranged per tap, and offsets are all that differs between the forward product and the gradients.

// The padded copy of some rows of an image. Row r, column q of copy (a, b) of a channel is the image's
// (top + r stride_h + a, left + q stride_w + b copy_step), and 0 outside it.
//
// Either the columns of one copy are split by the stride, and its rows have some more columns than the output, which
// others read; or, where `exact`, each column of the kernel has a copy of its own, whose rows follow each other without
// a gap, as the output's do.
struct Frame {
  bool exact;
  int64_t channels, height, width;  // of the image
  int64_t stride_h = 1, stride_w = 1;
  int64_t phases_h = 1;  // those that are used, at most stride_h
  int64_t copies = 1, copy_step = 1;
  int64_t top, left;
  int64_t rows = 0, columns;

  int64_t plane() const { return rows * columns; }
  int64_t size() const { return channels * phases_h * copies * plane(); }
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

// `rows` rows of `size` floats one after the other, each with to[q] = from[q step] for first <= q < last and 0 in the
// rest; from one row of `from` to the next it is from_row. Writes whole registers, which may reach up to `lanes` beyond
// the last row.
inline void lay_rows(const float* from, int64_t from_row, int64_t step, int64_t first, int64_t last, int64_t size,
                     int64_t rows, float* to) {
  // Margins mostly fit a register; where they do, no loop is entered, which compilers make a call of memset.
  const Vec nothing(0.0);
  for (; rows > 0; --rows, from += from_row, to += size) {
    if (first > 0) store(to, nothing);
    for (int64_t q = lanes; q < first; q += lanes) store(to + q, nothing);
    int64_t q = first;
    if (step == 1) {
      for (; q + lanes <= last; q += lanes) store(to + q, load(from + q));
      if (q < last) {
        store(to + q, load(from + q, last - q));
        q += lanes;
      }
    } else {
      for (; q < last; q += lanes) store(to + q, load_steps(from + q * step, step, least(lanes, last - q)));
    }
    if (q < size) store(to + q, nothing);
    for (q += lanes; q < size; q += lanes) store(to + q, nothing);
  }
}

// The same of neighbouring elements and as many columns as the image has, from_row, of which all but `left` columns to
// the left (to the right, where negative) come from the image: of one piece, in which the margins are cleared then.
inline void lay_shifted(const float* from, int64_t left, int64_t columns, int64_t rows, float* to) {
  const int64_t size = rows * columns, begin = most(0, -left), end = size - most(0, left);
  if (begin < end) copy_floats(from + begin, end - begin, to + begin);
  for (int64_t q = 0; q < begin; ++q)
    for (int64_t r = 0; r < size; r += columns) to[r + q] = 0;
  for (int64_t q = columns - most(0, left); q < columns; ++q)
    for (int64_t r = 0; r < size; r += columns) to[r + q] = 0;
}

inline void fill_frame(const Frame& f, const float* image, float* to) {
  for (int64_t c = 0; c < f.channels; ++c, image += f.height * f.width) {
    for (int64_t a = 0; a < f.phases_h; ++a) {
      // Rows [top, bottom) lie in the image, and of a copy columns [first, last).
      const int64_t y = f.top + a, step = f.stride_w;
      const int64_t top = least(f.rows, y < 0 ? blocks_of(-y, f.stride_h) : 0);
      const int64_t bottom = most(top, least(f.rows, y < f.height ? blocks_of(f.height - y, f.stride_h) : 0));
      for (int64_t b = 0; b < f.copies; ++b, to += f.plane()) {
        const int64_t left = f.left + b * f.copy_step;
        const int64_t first = least(f.columns, left < 0 ? blocks_of(-left, step) : 0);
        const int64_t last = most(first, least(f.columns, left < f.width ? blocks_of(f.width - left, step) : 0));
        clear_floats(to, top * f.columns);
        const float* from = image + (y + top * f.stride_h) * f.width + left;
        if (f.stride_h * step == 1 && f.columns == f.width && first < last)
          lay_shifted(from, left, f.width, bottom - top, to + top * f.columns);
        else
          lay_rows(from, f.stride_h * f.width, step, first, last, f.columns, bottom - top, to + top * f.columns);
        clear_floats(to + bottom * f.columns, (f.rows - bottom) * f.columns);
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

// Whether copies without gaps are worth it: gaps cost time in every step of every output channel's sums.
inline bool exact_pays(int64_t channels, int64_t kernel, int64_t reach, int64_t columns) {
  return channels >= 4 && kernel <= 8 && reach > 0 && columns < 32 * reach;
}

// The frame that the outputs of some rows read, but for `top` and `rows`.
inline Frame input_frame(const Conv2d& c, int64_t channels, bool exact) {
  const int64_t reach_h = (c.kernel_h - 1) * c.dilation_h, reach_w = (c.kernel_w - 1) * c.dilation_w;
  Frame f;
  f.exact = exact;
  f.channels = channels;
  f.height = c.height;
  f.width = c.width;
  f.stride_h = c.stride_h;
  f.stride_w = c.stride_w;
  f.phases_h = least(c.stride_h, reach_h + 1);
  f.copies = exact ? c.kernel_w : least(c.stride_w, reach_w + 1);
  f.copy_step = exact ? c.dilation_w : 1;
  f.left = -c.pad_w;
  f.columns = exact ? c.out_w : c.out_w + reach_w / c.stride_w;
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
        const int64_t plane = (i * f.phases_h + h % c.stride_h) * f.copies + (f.exact ? kw : v % c.stride_w);
        *offsets++ = int32_t(plane * f.plane() + h / c.stride_h * f.columns + (f.exact ? 0 : v / c.stride_w));
      }
    }
  }
}
