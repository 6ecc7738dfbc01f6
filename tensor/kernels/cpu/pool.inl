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

// The four elements, in their order, of the n windows that begin in these two rows.
inline void load_twos(const float* row, int64_t width, int64_t n, Vec (&tap)[4]) {
  const int64_t low = least(lanes, 2 * n), high = 2 * n - low;
  for (int64_t h = 0; h < 2; ++h, row += width) {
    const Vec a = load(row, low), b = high ? load(row + lanes, high) : Vec(0.0);
    tap[2 * h] = even_lanes(a, b);
    tap[2 * h + 1] = odd_lanes(a, b);
  }
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
      for (int64_t i = 0; i < p.out_h; ++i, from += 2 * p.width, to += p.out_w) {
        for (int64_t j = 0; j < p.out_w; j += lanes) {
          const int64_t n = least(lanes, p.out_w - j);
          Vec tap[4];
          load_twos(from + 2 * j, p.width, n, tap);
          // Of equals the first, and a NaN where there is one.
          const Vec best = maximum(maximum(tap[3], tap[2]), maximum(tap[1], tap[0]));
          store(to + j, p.relu ? relu(best) : best, n);
        }
      }
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
      for (int64_t i = 0; i < p.out_h; ++i, from += 2 * p.width, to += 2 * p.width, share += p.out_w) {
        for (int64_t j = 0; j < p.out_w; j += lanes) {
          const int64_t n = least(lanes, p.out_w - j), low = least(lanes, 2 * n), high = 2 * n - low;
          const Vec nothing(0.0);
          Vec mine = load(share + j, n), tap[4], winner = nothing;
          load_twos(from + 2 * j, p.width, n, tap);
          Vec best = tap[0];
          GRADUS_UNROLL
          for (int k = 1; k < 4; ++k) {
            const Mask number = best == best, stays = tap[k] <= best;
            winner = select(number, select(stays, winner, Vec(double(k))), winner);
            best = maximum(tap[k], best);
          }
          if (p.relu) mine = select(best <= nothing, nothing, mine);
          for (int64_t h = 0; h < 2; ++h) {
            const Vec even = select(winner == Vec(double(2 * h)), mine, nothing);
            const Vec odd = select(winner == Vec(double(2 * h + 1)), mine, nothing);
            float* row = to + h * p.width + 2 * j;
            store(row, alternate_low(even, odd), low);
            if (high) store(row + lanes, alternate_high(even, odd), high);
          }
        }
        if (p.width % 2) to[p.width - 1] = to[2 * p.width - 1] = 0;
      }
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
