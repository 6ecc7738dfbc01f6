// Rows and elements chosen by an index, and sums of them; sorting.

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

// Calls f(b's element at index[i], a[i]) for all i, where `a` has the shape of `index`, whose elements choose along
// `dim`. Lines along `dim` are shared out, so that those that meet in one element come in order on one thread.
template <class F>
inline void each_chosen(const View& index, const View& a, const View& b, int dim, const F& f) {
  constexpr int64_t block = 256;
  const int outermost = dim == 0 ? 1 : 0;
  const int64_t n = index.shape[dim], index_step = index.strides[dim], step = a.strides[dim],
                far_step = b.strides[dim];
  parallel_for(index.numel() / larger(1, n), row_grain(n), [&](int64_t begin, int64_t end) {
    const int64_t* at[block];
    float *from[block], *to[block];
    for (int64_t first_line = begin; first_line < end; first_line += block) {
      const int64_t lines = smaller(block, end - first_line);
      for (int64_t line = 0; line < lines; ++line) {
        int64_t rest = first_line + line, offsets[3] = {};
        for (int d = index.ndim - 1; d >= 0; --d) {
          if (d == dim) continue;
          const int64_t i = d == outermost ? rest : rest % index.shape[d];
          if (d != outermost) rest /= index.shape[d];  // seldom: a division takes longer than a line of one
          offsets[0] += i * index.strides[d];
          offsets[1] += i * a.strides[d];
          offsets[2] += i * b.strides[d];
        }
        at[line] = static_cast<const int64_t*>(index.data) + offsets[0];
        from[line] = floats(a.data) + offsets[1];
        to[line] = floats(b.data) + offsets[2];
      }
      auto visit = [&](int64_t line, int64_t i) {
        f(to[line][at[line][i * index_step] * far_step], from[line][i * step]);
      };
      if (dim == index.ndim - 1) {  // whichever of the two is closer together goes inside
        for (int64_t line = 0; line < lines; ++line) {
          for (int64_t i = 0; i < n; ++i) visit(line, i);
        }
      } else {
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t line = 0; line < lines; ++line) visit(line, i);
        }
      }
    }
  });
}

void gather(const View& x, const View& index, const View& y, int dim) {
  each_chosen(index, y, x, dim, [](float chosen, float& result) { result = chosen; });
}

void scatter_add(const View& y, const View& index, const View& x, int dim) {
  each_chosen(index, x, y, dim, [](float& sum, float term) { sum += term; });
}

// A key that sorts like (x, place): the bits of x, in the order of floats with NaN above all, over the place.
inline uint64_t sort_key(float x, int64_t place, bool descending) {
  uint32_t u = __builtin_bit_cast(uint32_t, x + 0.0f);  // one zero
  uint32_t key = x != x ? 0xffffffffu : u ^ (u >> 31 ? 0xffffffffu : 0x80000000u);
  return uint64_t(descending ? ~key : key) << 32 | uint64_t(place);
}

// Sorts `keys` in place, by merging runs of length 1, 2, 4 ... from one buffer to the other.
inline void merge_sort(uint64_t* keys, uint64_t* other, int64_t n) {
  uint64_t *from = keys, *to = other;
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t begin = 0; begin < n; begin += 2 * run) {
      const uint64_t *a = from + begin, *a_end = from + smaller(n, begin + run);
      const uint64_t *b = a_end, *b_end = from + smaller(n, begin + 2 * run);
      uint64_t* out = to + begin;
      while (a != a_end && b != b_end) {  // no branch on what is compared: half of them would be guessed wrong
        const uint64_t u = *a, v = *b, second = v < u;
        *out++ = u ^ ((u ^ v) & (0 - second));
        b += second;
        a += second ^ 1;
      }
      __builtin_memcpy(out, a, size_t(a_end - a) * sizeof(uint64_t));
      __builtin_memcpy(out + (a_end - a), b, size_t(b_end - b) * sizeof(uint64_t));
    }
    uint64_t* swap = from;
    from = to;
    to = swap;
  }
  if (from != keys) __builtin_memcpy(keys, from, size_t(n) * sizeof(uint64_t));
}

void (*plain_sort)(const void*, int64_t, int64_t, bool, void*, int64_t*);

void sort(const void* x, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices) {
  if (n > UINT32_MAX) return plain_sort(x, rows, n, descending, values, indices);
  parallel_for(rows, row_grain(16 * n), [&](int64_t begin, int64_t end) {
    Scratch space(4 * n);
    uint64_t *keys = reinterpret_cast<uint64_t*>(space.data()), *other = keys + n;
    for (int64_t r = begin; r < end; ++r) {
      const float* row = floats(x) + r * n;
      for (int64_t i = 0; i < n; ++i) keys[i] = sort_key(row[i], i, descending);
      merge_sort(keys, other, n);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t place = int64_t(uint32_t(keys[i]));
        indices[r * n + i] = place;
        floats(values)[r * n + i] = row[place];
      }
    }
  });
}

void fill_indexing(KernelTable& table) {
  plain_sort = table.sort;
  table.sort = sort;
  table.index_select = index_select;
  table.index_add = index_add;
  table.gather = gather;
  table.scatter_add = scatter_add;
}
