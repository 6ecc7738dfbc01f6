// Reading and adding by index. Sums never depend on which thread comes first: the indices are sorted, and each
// destination adds up its sources in order.
#include <bit>
#include <limits>
#include <type_traits>

#include "tensor/error.h"
#include "tensor/kernels/cuda/kernels.h"
#include "tensor/kernels/cuda/sort_pairs.h"

namespace gradus::cuda {
namespace {

constexpr int block_size = 256;

// --- reading --------------------------------------------------------------------------------------------------------

// Where three views of one shape have their elements, dimensions that lie behind one another joined.
struct Layout {
  int ndim = 0;
  int64_t shape[8], strides[3][8];

  void add(int64_t size, int64_t first, int64_t second, int64_t third) {
    if (size == 1) return;
    const int64_t steps[3] = {first, second, third};
    bool joins = ndim > 0;
    for (int k = 0; joins && k < 3; ++k) joins = strides[k][ndim - 1] == steps[k] * size;
    int d = joins ? ndim - 1 : ndim++;
    shape[d] = joins ? shape[d] * size : size;
    for (int k = 0; k < 3; ++k) strides[k][d] = steps[k];
  }
  struct Offsets {
    int64_t at[3];
  };
  template <class Index>
  __device__ Offsets operator()(Index i) const {
    Offsets offsets{};
    for (int d = ndim - 1; d >= 0; --d) {
      Index size = Index(shape[d]), place = i % size;
      i /= size;
      for (int k = 0; k < 3; ++k) offsets.at[k] += int64_t(place) * strides[k][d];
    }
    return offsets;
  }
};

// Elements are copied as what has their size: Unit.
template <class Unit, class Index>
__global__ void gather_elements(Layout layout, Index n, const Unit* x, int64_t x_stride, const int64_t* index,
                                Unit* y, IndexGuard guard) {
  for (Index i = Index(blockIdx.x) * block_size + threadIdx.x; i < n; i += Index(gridDim.x) * block_size) {
    auto [at] = layout(i);
    int64_t chosen = index[at[1]];
    y[at[2]] = guard(chosen) ? x[at[0] + chosen * x_stride] : Unit{};
  }
}

// As many blocks as n elements need, one each thread, and no more than a grid may have.
dim3 blocks_for(int64_t n) { return dim3(unsigned(std::min<int64_t>(div_up(n, block_size), 1 << 30))); }

// Calls f with a zero of the type in which indices up to n, and a step beyond, are computed.
template <class F>
void with_index_type(int64_t n, F f) {
  if (n < int64_t(1) << 31)
    f(uint32_t());
  else
    f(uint64_t());
}

template <class Unit>
void gather(const View& x, const View& index, const View& y, int dim) {
  Layout layout;
  for (int d = 0; d < y.ndim; ++d)
    layout.add(y.shape[d], d == dim ? 0 : x.strides[d], index.strides[d], y.strides[d]);
  with_index_type(y.numel(), [&]<class Index>(Index) {
    launch(gather_elements<Unit, Index>, blocks_for(y.numel()), dim3(block_size), 0, layout, Index(y.numel()),
           x.as<Unit>(), x.strides[dim], index.as<int64_t>(), y.as<Unit>(), index_guard("gather", x.shape[dim]));
  });
}

// (outer, n, inner) to (outer, count, inner), inner counted in units.
template <class Unit, class Index>
__global__ void select_rows(const Unit* x, const int64_t* index, Unit* y, int64_t n, Index inner, Index count,
                            Index total, IndexGuard guard) {
  for (Index i = Index(blockIdx.x) * block_size + threadIdx.x; i < total; i += Index(gridDim.x) * block_size) {
    Index row = i / inner, outer = row / count;
    int64_t chosen = index[row - outer * count];
    y[i] = guard(chosen) ? x[(int64_t(outer) * n + chosen) * int64_t(inner) + int64_t(i - row * inner)] : Unit{};
  }
}

template <class Unit>
void select_units(const void* x, const int64_t* index, void* y, int64_t outer, int64_t n, int64_t bytes,
                  int64_t count) {
  int64_t inner = bytes / int64_t(sizeof(Unit)), total = outer * count * inner;
  with_index_type(total, [&]<class Index>(Index) {
    launch(select_rows<Unit, Index>, blocks_for(total), dim3(block_size), 0, static_cast<const Unit*>(x), index,
           static_cast<Unit*>(y), n, Index(inner), Index(count), Index(total), index_guard("index_select", n));
  });
}

template <int element_size>
void index_select(const void* x, const int64_t* index, void* y, int64_t outer, int64_t n, int64_t inner,
                  int64_t count) {
  int64_t bytes = inner * element_size;
  // The largest unit that rows and addresses are multiples of.
  uint64_t mixed = uint64_t(bytes) | reinterpret_cast<uintptr_t>(x) | reinterpret_cast<uintptr_t>(y);
  auto select = mixed % 16 == 0  ? select_units<uint4>
                : mixed % 8 == 0 ? select_units<uint64_t>
                : mixed % 4 == 0 ? select_units<uint32_t>
                : mixed % 2 == 0 ? select_units<uint16_t>
                                 : select_units<uint8_t>;
  select(x, index, y, outer, n, bytes, count);
}

// --- adding ---------------------------------------------------------------------------------------------------------

// Equal keys stand together in the sorted order, as a run. Runs are cut at every multiple of part_length, so that no
// thread has a long way to go; the parts of a run are added up by `join_parts`.
constexpr int part_length = 64;

// The sorted keys of all sources, and the first that is no destination: the key of an index that was out of range.
struct Sources {
  const uint32_t *keys, *positions;
  int count;
  uint32_t limit;
};

// `width` elements of T that are read and written together.
template <class T, int width>
struct alignas(sizeof(T) * width) Pack {
  T v[width];
};
template <class T, int width>
struct alignas(width * sizeof(Compute<T>) < 16 ? width * sizeof(Compute<T>) : 16) Sum {
  Compute<T> v[width];
  __device__ void load(const T* from) {
    auto pack = *reinterpret_cast<const Pack<T, width>*>(from);
    for (int i = 0; i < width; ++i) v[i] = Compute<T>(pack.v[i]);
  }
  __device__ void store(T* to) const {
    Pack<T, width> pack;
    for (int i = 0; i < width; ++i) pack.v[i] = T(v[i]);
    *reinterpret_cast<Pack<T, width>*>(to) = pack;
  }
  __device__ void add(const Sum& other) {
    for (int i = 0; i < width; ++i) v[i] += other.v[i];
  }
};

// Where an index_add finds column c, of `width` elements, of its source and its destination rows.
struct Rows {
  int64_t columns, inner, n, count;  // columns: of all outer; inner: in columns
  int width;
  __device__ int64_t place(int64_t row, int64_t rows, int64_t c) const {
    int64_t outer = columns == inner ? 0 : c / inner;
    return ((outer * rows + row) * inner + (c - outer * inner)) * width;
  }
  __device__ int64_t source(uint32_t position, int64_t c) const { return place(position, count, c); }
  __device__ int64_t destination(uint32_t key, int64_t c) const { return place(key, n, c); }
};

// The same for a scatter_add: source i of a line, which has all along `dim`, and one column.
struct Lines {
  Layout layout;     // of the lines in y, index and x
  int64_t n, count;  // destinations and sources of a line
  int64_t y_stride, index_stride, x_stride;
  static constexpr int64_t columns = 1;
  __device__ int64_t source(uint32_t position, int64_t) const {
    uint32_t line = position / uint32_t(count);
    return layout(line).at[2] + (position - line * count) * x_stride;
  }
  __device__ int64_t destination(uint32_t key, int64_t) const {
    uint32_t line = key / uint32_t(n);
    return layout(line).at[0] + (key - line * n) * y_stride;
  }
};

// Threads (column, place in the order): the one at the beginning of a part adds it up. A run of one part goes to y;
// of longer ones each part is kept in `parts`: two rows to each stretch of part_length, one for the part that began
// earlier and one for that which goes on.
template <class T, int width, class Places>
__global__ void sum_parts(Sources s, Places places, const T* x, T* y, Sum<T, width>* parts) {
  constexpr int batch = 8;  // loads in flight
  int64_t p64 = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (p64 >= s.count) return;
  int p = int(p64);
  uint32_t key = s.keys[p];
  bool begins = p == 0 || s.keys[p - 1] != key;
  if (key >= s.limit || (!begins && p % part_length)) return;
  int stretch = p / part_length, end = p + 1, last = int(min(int64_t(s.count), (int64_t(stretch) + 1) * part_length));
  while (end < last && s.keys[end] == key) ++end;
  bool ends = end == s.count || s.keys[end] != key;

  for (int64_t c = int64_t(blockIdx.y) * blockDim.x + threadIdx.x; c < places.columns;
       c += int64_t(gridDim.y) * blockDim.x) {
    Sum<T, width> sum{}, next[batch]{};
    T* to = y + places.destination(key, c);
    if (begins && ends) sum.load(to);
    for (int q = p; q < end; q += batch) {
      SIMT_UNROLL
      for (int i = 0; i < batch; ++i)
        if (q + i < end) next[i].load(x + places.source(s.positions[q + i], c));
      SIMT_UNROLL
      for (int i = 0; i < batch; ++i)
        if (q + i < end) sum.add(next[i]);
    }
    if (begins && ends)
      sum.store(to);
    else
      parts[(2 * int64_t(stretch) + begins) * places.columns + c] = sum;
  }
}

// Threads (column, stretch): the one of the stretch in which a long run began adds up its parts.
template <class T, int width, class Places>
__global__ void join_parts(Sources s, Places places, T* y, const Sum<T, width>* parts) {
  constexpr int batch = 8;
  int64_t stretch = int64_t(blockIdx.x) * blockDim.y + threadIdx.y, first = stretch * part_length;
  int64_t after = first + part_length;  // the next stretch's beginning
  if (after >= s.count) return;
  uint32_t key = s.keys[after];
  bool began_here = s.keys[after - 1] == key && (first == 0 || s.keys[first - 1] != key);
  if (key >= s.limit || !began_here) return;
  for (int64_t c = int64_t(blockIdx.y) * blockDim.x + threadIdx.x; c < places.columns;
       c += int64_t(gridDim.y) * blockDim.x) {
    Sum<T, width> sum{}, next[batch]{};
    T* to = y + places.destination(key, c);
    sum.load(to);
    sum.add(parts[(2 * stretch + 1) * places.columns + c]);
    bool goes_on = true;
    for (int64_t q = stretch + 1; goes_on; q += batch) {
      bool same[batch];
      SIMT_UNROLL
      for (int i = 0; i < batch; ++i) {
        same[i] = (q + i) * part_length < s.count && s.keys[(q + i) * part_length] == key;
        if (same[i]) next[i] = parts[2 * (q + i) * places.columns + c];
      }
      SIMT_UNROLL
      for (int i = 0; i < batch; ++i) {
        goes_on = goes_on && same[i];
        if (goes_on) sum.add(next[i]);
      }
    }
    sum.store(to);
  }
}

// Adds to each destination its sources, given the sorted keys.
template <class T, int width, class Places>
void add_sorted(const SortedPairs& sorted, int count, uint32_t limit, const Places& places, const T* x, T* y) {
  Sources sources{sorted.keys(), sorted.positions(), count, limit};
  int64_t columns = places.columns, stretches = div_up(count, part_length);
  Scratch<Sum<T, width>> parts(2 * stretches * columns);
  unsigned across = unsigned(std::bit_ceil(uint64_t(std::min<int64_t>(columns, 64)))), down = block_size / across;
  unsigned column_blocks = unsigned(std::min<int64_t>(div_up(columns, across), 65535));
  launch(sum_parts<T, width, Places>, dim3(unsigned(div_up(count, down)), column_blocks), dim3(across, down), 0,
         sources, places, x, y, parts.data());
  launch(join_parts<T, width, Places>, dim3(unsigned(div_up(stretches - 1, down)), column_blocks), dim3(across, down),
         0, sources, places, y, parts.data());
}

// An index that is out of range gets the key behind all others.
template <class Find>
__global__ void make_keys(int count, uint32_t limit, Find find, uint32_t* keys, IndexGuard guard) {
  int64_t i = int64_t(blockIdx.x) * block_size + threadIdx.x;
  if (i >= count) return;
  auto [index, before] = find(uint32_t(i));
  keys[i] = guard(index) ? uint32_t(before + index) : limit;
}
struct Found {
  int64_t index, before;  // `before`: the keys of earlier lines
};
struct FindInRow {
  const int64_t* index;
  __device__ Found operator()(uint32_t i) const { return {index[i], 0}; }
};
struct FindInLine {
  Lines lines;
  const int64_t* index;
  __device__ Found operator()(uint32_t i) const {
    uint32_t line = i / uint32_t(lines.count);
    return {index[lines.layout(line).at[1] + (i - line * lines.count) * lines.index_stride], int64_t(line) * lines.n};
  }
};

template <class Find>
void make_and_sort(SortedPairs& pairs, int count, uint32_t limit, const Find& find, const IndexGuard& guard) {
  launch(make_keys<Find>, blocks_for(count), dim3(block_size), 0, count, limit, find, pairs.unsorted_keys(), guard);
  pairs.sort();
}

constexpr int64_t most_keys = std::numeric_limits<int>::max();

template <class T>
void index_add(void* y, const int64_t* index, const void* x, int64_t outer, int64_t n, int64_t inner, int64_t count) {
  if (outer * inner * count == 0) return;
  check(n < most_keys && count < most_keys, "index_add: ", count, " indices into ", n, " rows on cuda are too many");
  SortedPairs sorted(int(count), std::max(1, int(std::bit_width(uint32_t(n)))));
  make_and_sort(sorted, int(count), uint32_t(n), FindInRow{index}, index_guard("index_add", n));
  auto add = [&]<int width>(std::integral_constant<int, width>) {
    Rows rows{outer * inner / width, inner / width, n, count, width};
    add_sorted<T, width>(sorted, int(count), uint32_t(n), rows, static_cast<const T*>(x), static_cast<T*>(y));
  };
  constexpr int wide = sizeof(T) == 1 ? 1 : int(16 / sizeof(T));  // 16 sums of int64_t would be too many
  if (inner % wide == 0 && reinterpret_cast<uintptr_t>(x) % 16 == 0 && reinterpret_cast<uintptr_t>(y) % 16 == 0)
    add(std::integral_constant<int, wide>());
  else
    add(std::integral_constant<int, 1>());
}

// One thread adds up a line: no need to sort where lines are many.
template <class T, class Index>
__global__ void add_lines(Lines lines, Index n, const int64_t* index, const T* x, T* y, IndexGuard guard) {
  for (Index line = Index(blockIdx.x) * block_size + threadIdx.x; line < n; line += Index(gridDim.x) * block_size) {
    auto [at] = lines.layout(line);
    for (int64_t i = 0; i < lines.count; ++i) {
      int64_t chosen = index[at[1] + i * lines.index_stride];
      if (!guard(chosen)) continue;
      T& to = y[at[0] + chosen * lines.y_stride];
      to = T(Compute<T>(to) + Compute<T>(x[at[2] + i * lines.x_stride]));
    }
  }
}

template <class T>
void scatter_add(const View& y, const View& index, const View& x, int dim) {
  int64_t total = x.numel();
  if (total == 0) return;
  Lines lines{{}, y.shape[dim], x.shape[dim], y.strides[dim], index.strides[dim], x.strides[dim]};
  for (int d = 0; d < x.ndim; ++d)
    if (d != dim) lines.layout.add(x.shape[d], y.strides[d], index.strides[d], x.strides[d]);
  int64_t count = total / x.shape[dim];
  IndexGuard guard = index_guard("scatter_add", lines.n);
  // bfloat16 is sorted wherever it can be: a line's sums would be rounded at every step.
  constexpr int64_t many = 1 << 14;
  bool in_lines = lines.count == 1 || (count >= many && sizeof(T) != sizeof(bf16));
  if (in_lines || total >= most_keys || count * lines.n >= most_keys) {
    with_index_type(count, [&]<class Index>(Index) {
      launch(add_lines<T, Index>, blocks_for(count), dim3(block_size), 0, lines, Index(count), index.as<int64_t>(),
             x.as<T>(), y.as<T>(), guard);
    });
    return;
  }
  uint32_t limit = uint32_t(count * lines.n);
  SortedPairs sorted(int(total), std::max(1, int(std::bit_width(limit))));
  make_and_sort(sorted, int(total), limit, FindInLine{lines, index.as<int64_t>()}, guard);
  add_sorted<T, 1>(sorted, int(total), limit, lines, x.as<T>(), y.as<T>());
}

template <int element_size>
void fill_reading(KernelTable& table) {
  using Unit = std::conditional_t<
      element_size == 8, uint64_t,
      std::conditional_t<element_size == 4, uint32_t, std::conditional_t<element_size == 2, uint16_t, uint8_t>>>;
  table.gather = &gather<Unit>;
  table.index_select = &index_select<element_size>;
}

template <class T>
void fill_for(KernelTable& table) {
  fill_reading<sizeof(T)>(table);
  table.scatter_add = &scatter_add<T>;
  table.index_add = &index_add<T>;
}

}  // namespace

void fill_indexing(KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::float32: return fill_for<float>(table);
    case DType::float64: return fill_for<double>(table);
    case DType::int64: return fill_for<int64_t>(table);
    case DType::uint8: return fill_for<uint8_t>(table);
    case DType::bfloat16: return fill_for<bf16>(table);
    case DType::boolean: return fill_reading<sizeof(bool)>(table);
  }
}

}  // namespace gradus::cuda
