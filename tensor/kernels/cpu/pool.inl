// Pooling of float images. Included after conv.inl. A register holds neighbouring outputs of a row; the
// window is walked tap by tap, with what lies outside the plane replaced by a value that does not count.

// Where a window of the plane begins and ends along one dimension, cut off at the plane, and its length as an average
// counts it.
struct Span {
  int64_t begin, end;
  float length;
};

inline Span pool_span(int64_t i, int64_t size, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                      const Pool2d& p) {
  if (p.adaptive) {
    const int64_t begin = i * size / out, end = blocks_of((i + 1) * size, out);
    return {begin, end, float(end - begin)};
  }
  const int64_t begin = i * stride - pad, end = least(begin + kernel, size + pad);
  const int64_t first = most(begin, 0), last = least(end, size);
  return {first, last, float(p.count_include_pad ? end - begin : last - first)};
}

inline Span rows_of(const Pool2d& p, int64_t i) {
  return pool_span(i, p.height, p.out_h, p.kernel_h, p.stride_h, p.pad_h, p);
}
inline Span columns_of(const Pool2d& p, int64_t j) {
  return pool_span(j, p.width, p.out_w, p.kernel_w, p.stride_w, p.pad_w, p);
}

// row[begin + l step] in lane l < n, and `outside` where that is not in [0, width).
inline Vec load_taps(const float* row, int64_t width, int64_t begin, int64_t step, int64_t n, float outside) {
  if (begin >= 0 && begin + (n - 1) * step < width) return load_steps(row + begin, step, n);
  float taps[lanes];
  for (int64_t l = 0; l < lanes; ++l) {
    const int64_t at = begin + l * step;
    taps[l] = l < n && at >= 0 && at < width ? row[at] : outside;
  }
  return load(taps);
}

constexpr int64_t pool_work = 1 << 14;  // elements of input that are worth a task

inline int64_t planes_per_task(const Pool2d& p) { return most(1, pool_work / most(1, p.height * p.width)); }

inline Vec relu(Vec x) { return apply<Unary::relu>(x, Vec(0.0), Vec(0.0)); }

// Of one plane: the largest of each window and their places in the plane, each where wanted.
inline void max_pool_plane(const Pool2d& p, Bits lane_steps, const float* from, float* y, int64_t* argmax) {
  constexpr float lowest = -__builtin_inff();
  for (int64_t i = 0; i < p.out_h; ++i) {
    const Span rows = rows_of(p, i);
    const int64_t at = i * p.out_w;
    for (int64_t j = 0; j < p.out_w; j += lanes) {
      const int64_t n = least(lanes, p.out_w - j), left = j * p.stride_w - p.pad_w;
      // Places in the plane. A window of nothing but -inf gives its first place.
      Bits first_place = lane_steps + bits(int(rows.begin * p.width + left));
      if (left < 0) {
        int32_t place[lanes];
        for (int64_t l = 0; l < lanes; ++l) place[l] = int32_t(rows.begin * p.width + most(0, left + l * p.stride_w));
        first_place = bits(load(reinterpret_cast<const float*>(place)));
      }
      Vec best(lowest), best_place = from_bits(first_place);
      for (int64_t h = rows.begin; h < rows.end; ++h) {
        for (int64_t k = 0; k < p.kernel_w; ++k) {
          const Vec tap = load_taps(from + h * p.width, p.width, left + k, p.stride_w, n, lowest);
          const Vec tap_place = from_bits(lane_steps + bits(int(h * p.width + left + k)));
          const Mask number = best == best, stays = tap <= best;  // NaN: takes over, and then stays
          best_place = select(number, select(stays, best_place, tap_place), best_place);
          best = select(number, select(stays, best, tap), best);
        }
      }
      if (y) store(y + at + j, p.relu ? relu(best) : best, n);
      if (argmax) store(argmax + at + j, bits(best_place), n);
    }
  }
}

// The usual windows of 2 x 2 that neither overlap nor are cut off: the columns of neighbours are read in one go.
inline bool by_twos(const Pool2d& p) {
  return p.kernel_h == 2 && p.kernel_w == 2 && p.stride_h == 2 && p.stride_w == 2 && p.pad_h + p.pad_w == 0;
}

// The windows of a register: those of a row of outputs from some column on, or, where these fill no more than half of
// it, all of two rows, each in its half.
struct Twos {
  int64_t row, column;  // of the outputs
  bool two_rows;
  int64_t low, high;  // elements of a row of the plane that its lower half and its upper half read,
  int64_t apart;      // the latter so far from the former
};

template <class Body>
inline void for_twos(const Pool2d& p, const Body& body) {
  for (int64_t i = 0; i < p.out_h; ++i) {
    if (p.out_w <= lanes / 2 && i + 1 < p.out_h) {
      body(Twos{i++, 0, true, 2 * p.out_w, 2 * p.out_w, 2 * p.width});
      continue;
    }
    for (int64_t j = 0; j < p.out_w; j += lanes) {
      const int64_t n = least(lanes, p.out_w - j), low = least(lanes, 2 * n);
      body(Twos{i, j, false, low, 2 * n - low, lanes});
    }
  }
}

// The four elements, in their order, of each of these windows of a plane.
inline void load_twos(const Pool2d& p, const Twos& t, const float* plane, Vec (&tap)[4]) {
  const float* row = plane + 2 * (t.row * p.width + t.column);
  for (int64_t h = 0; h < 2; ++h, row += p.width) {
    const Vec a = load(row, t.low), b = t.high ? load(row + t.apart, t.high) : Vec(0.0);
    tap[2 * h] = even_lanes(a, b);
    tap[2 * h + 1] = odd_lanes(a, b);
  }
}

// Their outputs: one row of them, or two that follow each other.
inline Vec load_outputs(const Pool2d& p, const Twos& t, const float* plane) {
  const float* y = plane + t.row * p.out_w + t.column;
  if (!t.two_rows) return load(y, (t.low + t.high) / 2);
  float both[lanes + lanes / 2];
  store(both, load(y, p.out_w));
  store(both + lanes / 2, load(y + p.out_w, p.out_w));
  return load(both);
}
inline void store_outputs(const Pool2d& p, const Twos& t, Vec x, float* plane) {
  float* y = plane + t.row * p.out_w + t.column;
  if (!t.two_rows) return store(y, x, (t.low + t.high) / 2);
  float both[lanes + lanes / 2];
  store(both, x);
  store(y, x, p.out_w);
  store(y + p.out_w, load(both + lanes / 2, p.out_w), p.out_w);
}

inline Bits steps_of_lanes(const Pool2d& p) {
  int32_t steps[lanes];
  for (int l = 0; l < lanes; ++l) steps[l] = int32_t(l * p.stride_w);
  return bits(load(reinterpret_cast<const float*>(steps)));
}

inline void max_pool2d(const Pool2d& p, const void* x, void* y, int64_t* argmax) {
  const Bits lane_steps = steps_of_lanes(p);
  const int64_t outputs = p.out_h * p.out_w;
  const bool twos = by_twos(p) && !argmax;
  parallel_for(p.planes, planes_per_task(p), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* from = static_cast<const float*>(x) + plane * p.height * p.width;
      float* to = static_cast<float*>(y) + plane * outputs;
      if (!twos) {
        max_pool_plane(p, lane_steps, from, to, argmax ? argmax + plane * outputs : nullptr);
        continue;
      }
      for_twos(p, [&](const Twos& t) {
        Vec tap[4];
        load_twos(p, t, from, tap);
        // Of equals the first, and a NaN where there is one.
        const Vec best = maximum(maximum(tap[3], tap[2]), maximum(tap[1], tap[0]));
        store_outputs(p, t, p.relu ? relu(best) : best, to);
      });
    }
  });
}

inline void max_pool2d_grad(const Pool2d& p, const void* x, const void* g, void* dx) {
  const Bits lane_steps = steps_of_lanes(p);
  const int64_t outputs = p.out_h * p.out_w;
  const bool twos = by_twos(p);
  parallel_for(p.planes, planes_per_task(p), [&](int64_t begin, int64_t end) {
    const Space space(twos ? 0 : 2 * outputs);
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* from = static_cast<const float*>(x) + plane * p.height * p.width;
      const float* share = static_cast<const float*>(g) + plane * outputs;
      float* to = static_cast<float*>(dx) + plane * p.height * p.width;
      if (!twos) {
        int64_t* places = reinterpret_cast<int64_t*>(space.floats());
        max_pool_plane(p, lane_steps, from, nullptr, places);
        clear_floats(to, p.height * p.width);
        for (int64_t i = 0; i < outputs; ++i) {
          if (!(p.relu && from[places[i]] <= 0)) to[places[i]] += share[i];
        }
        continue;
      }
      if (p.height % 2) clear_floats(to + (p.height - 1) * p.width, p.width);
      if (p.width % 2) {
        for (int64_t i = 0; i < p.height; ++i) to[i * p.width + p.width - 1] = 0;
      }
      for_twos(p, [&](const Twos& t) {
        Vec tap[4], mine = load_outputs(p, t, share);
        load_twos(p, t, from, tap);
        const Vec nothing(0.0), one(1.0);
        Vec best = maximum(maximum(tap[3], tap[2]), maximum(tap[1], tap[0]));
        if (p.relu) mine = select(best <= nothing, nothing, mine);
        const Mask nan = best != best;
        if (any(nan)) [[unlikely]] {  // which equals nothing
          for (Vec& each : tap) each = select(nan, select(each == each, nothing, one), each);
          best = select(nan, one, best);
        }
        Vec of_tap[4];
        GRADUS_UNROLL
        for (int k = 0; k < 3; ++k) {  // the first that equals it takes what is left
          const Mask wins = tap[k] == best;
          of_tap[k] = select(wins, mine, nothing);
          mine = select(wins, nothing, mine);
        }
        of_tap[3] = mine;
        float* row = to + 2 * (t.row * p.width + t.column);
        GRADUS_UNROLL
        for (int h = 0; h < 2; ++h, row += p.width) {
          store(row, alternate_low(of_tap[2 * h], of_tap[2 * h + 1]), t.low);
          if (t.high) store(row + t.apart, alternate_high(of_tap[2 * h], of_tap[2 * h + 1]), t.high);
        }
      });
    }
  });
}

inline void avg_pool2d(const Pool2d& p, const void* x, void* y) {
  parallel_for(p.planes, planes_per_task(p), [&](int64_t begin, int64_t end) {
    const Space lengths(p.out_w);
    for (int64_t j = 0; j < p.out_w; ++j) lengths.floats()[j] = columns_of(p, j).length;
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* from = static_cast<const float*>(x) + plane * p.height * p.width;
      for (int64_t i = 0; i < p.out_h; ++i) {
        const Span rows = rows_of(p, i);
        float* to = static_cast<float*>(y) + (plane * p.out_h + i) * p.out_w;
        if (p.adaptive) {  // windows of many sizes, often large: along each of them
          for (int64_t j = 0; j < p.out_w; ++j) {
            const Span columns = columns_of(p, j);
            Vec sum(0.0);
            for (int64_t h = rows.begin; h < rows.end; ++h) {
              for (int64_t v = columns.begin; v < columns.end; v += lanes) {
                sum = sum + load(from + h * p.width + v, least(lanes, columns.end - v));
              }
            }
            to[j] = total<Reduce::sum>(sum) / (rows.length * columns.length);
          }
          continue;
        }
        for (int64_t j = 0; j < p.out_w; j += lanes) {
          const int64_t n = least(lanes, p.out_w - j), left = j * p.stride_w - p.pad_w;
          Vec total(0.0);
          for (int64_t h = rows.begin; h < rows.end; ++h) {
            for (int64_t k = 0; k < p.kernel_w; ++k) {
              total = total + load_taps(from + h * p.width, p.width, left + k, p.stride_w, n, 0.0f);
            }
          }
          store(to + j, total / (Vec(rows.length) * load(lengths.floats() + j, n)), n);
        }
      }
    }
  });
}

inline void avg_pool2d_grad(const Pool2d& p, const void* g, void* dx) {
  parallel_for(p.planes, planes_per_task(p), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      float* to = static_cast<float*>(dx) + plane * p.height * p.width;
      clear_floats(to, p.height * p.width);
      for (int64_t i = 0; i < p.out_h; ++i) {
        const Span rows = rows_of(p, i);
        const float* from = static_cast<const float*>(g) + (plane * p.out_h + i) * p.out_w;
        for (int64_t j = 0; j < p.out_w; ++j) {
          const Span columns = columns_of(p, j);
          const float share = from[j] / (rows.length * columns.length);
          for (int64_t h = rows.begin; h < rows.end; ++h) {
            for (int64_t v = columns.begin; v < columns.end; ++v) to[h * p.width + v] += share;
          }
        }
      }
    }
  });
}

inline void fill_pools(KernelTable& table) {
  table.max_pool2d = max_pool2d;
  table.max_pool2d_grad = max_pool2d_grad;
  table.avg_pool2d = avg_pool2d;
  table.avg_pool2d_grad = avg_pool2d_grad;
}
