// Rows and elements chosen by an index, and sums of them.

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

void (*plain_scatter_add)(const View&, const View&, const View&, int);

// Along the rows of a matrix, each row on one thread.
void scatter_add(const View& y, const View& index, const View& x, int dim) {
  if (x.ndim != 2 || dim != 1) return plain_scatter_add(y, index, x, dim);
  int64_t n = index.shape[1];
  each_row(index.shape[0], n, [&](int64_t r) {
    const int64_t* at = static_cast<const int64_t*>(index.data) + r * index.strides[0];
    const float* from = floats(x.data) + r * x.strides[0];
    float* to = floats(y.data) + r * y.strides[0];
    for (int64_t i = 0; i < n; ++i) to[at[i * index.strides[1]] * y.strides[1]] += from[i * x.strides[1]];
  });
}

void fill_indexing(KernelTable& table) {
  plain_scatter_add = table.scatter_add;
  table.index_select = index_select;
  table.index_add = index_add;
  table.scatter_add = scatter_add;
}
