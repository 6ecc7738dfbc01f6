// Softmax, its logarithm and cross-entropy along rows. Each row is read from memory once and written once: up to 16384
// elements stay in registers between, and of longer rows the second reading comes from the cache.
#include <algorithm>

#include "tensor/kernels/cuda/block.h"
#include "tensor/kernels/cuda/scalar.h"

namespace gradus::cuda {
namespace {

constexpr int long_row_threads = 1024;  // few rows at a time, so that the cache holds them

// The largest of some elements, and the sum of exp(element - largest).
template <class C>
struct RowSum {
  C largest, total;
};

// What exponents are taken relative to: nothing where all are -infinity so far, which are no numbers apart.
template <class C>
__device__ C base_of(C largest) {
  return largest == identity<Reduce::max>() ? C(0) : largest;
}

// Of rows without anything above -infinity the softmax is NaN.
template <class C>
__device__ RowSum<C> or_nan(RowSum<C> s) {
  return {s.largest, s.largest == identity<Reduce::max>() ? C(__builtin_nan("")) : s.total};
}

// Of the elements from `begin` to `end` of a row, in one pass (Milakov and Gimelshein 2018, algorithm 3): whenever a
// larger element comes, the sum so far shrinks. NaN and infinity come out as NaN in the sum.
template <int lanes, class T, class C = Compute<T>>
__device__ RowSum<C> row_sum(const T* row, int lane, int64_t begin, int64_t end, C (&partial)[2][warp_size]) {
  RowSum<C> s{C(identity<Reduce::max>()), C(0)};
  share_row(
      lane, lanes, begin, end,
      [&]<int count>(int64_t i) {
        C v[count], largest = s.largest;
        load_values(row + i, v);
        SIMT_UNROLL
        for (int j = 0; j < count; ++j) largest = max(largest, v[j]);
        const C base = base_of(largest);
        C total = s.total * exp(s.largest - base);
        SIMT_UNROLL
        for (int j = 0; j < count; ++j) total += exp(v[j] - base);
        s = {largest, total};
      },
      row);
  const C largest = combine_lanes<lanes>(s.largest, Largest(), partial[0]);
  const C total = combine_lanes<lanes>(s.total * exp(s.largest - base_of(largest)), Sum(), partial[1]);
  return {largest, total};
}

// --- softmax -------------------------------------------------------------------------------------------------------
//! [rows]
template <class T, class Shape, bool logarithm>
__global__ void __launch_bounds__(Shape::threads) softmax_rows(const T* x, T* y, int64_t rows, int n, bool packed) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [2][warp_size]);
  const RowPart<T, Shape> part(int64_t(blockIdx.x) * Shape::rows, rows, n, packed);
  C v[part.count], largest = C(identity<Reduce::max>()), total = 0;
  part.load(x + part.row * n, largest, v);
  SIMT_UNROLL
  for (int k = 0; k < part.count; ++k) largest = max(largest, v[k]);
  largest = combine_lanes<Shape::lanes>(largest, Largest(), partial[0]);
  SIMT_UNROLL
  for (int k = 0; k < part.count; ++k) {
    v[k] -= largest;
    const C e = exp(v[k]);
    total += e;
    if constexpr (!logarithm) v[k] = e;
  }
  total = combine_lanes<Shape::lanes>(total, Sum(), partial[1]);
  const C log_total = logarithm ? log(total) : C(0), scale = logarithm ? C(0) : 1 / total;
  SIMT_UNROLL
  for (int k = 0; k < part.count; ++k) v[k] = logarithm ? v[k] - log_total : v[k] * scale;
  part.store(y + part.row * n, v);
}
//! [rows]
// Long rows are divided into `splits` parts of `length`, a block each, where there are fewer rows than multiprocessors.
template <class T>
__global__ void __launch_bounds__(long_row_threads)
    row_sums(const T* x, RowSum<Compute<T>>* sums, int64_t n, int64_t splits, int64_t length) {
  SIMT_SHARED(Compute<T>, partial, [2][warp_size]);
  const int64_t row = blockIdx.x / splits, begin = blockIdx.x % splits * length;
  const auto s = row_sum<long_row_threads>(x + row * n, int(threadIdx.x), begin, min(begin + length, n), partial);
  if (threadIdx.x == 0) sums[blockIdx.x] = s;
}

template <class T, bool logarithm>
__global__ void __launch_bounds__(long_row_threads)
    softmax_long(const T* x, T* y, const RowSum<Compute<T>>* sums, int64_t n, int64_t splits, int64_t length) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [2][warp_size]);
  const int64_t row = blockIdx.x / splits, begin = blockIdx.x % splits * length;
  const T* from = x + row * n;
  T* to = y + row * n;
  RowSum<C> s{C(identity<Reduce::max>()), C(0)};
  if (splits == 1) {
    s = row_sum<long_row_threads>(from, int(threadIdx.x), 0, n, partial);
  } else {
    sums += row * splits;
    for (int64_t i = 0; i < splits; ++i) s.largest = max(s.largest, sums[i].largest);
    for (int64_t i = 0; i < splits; ++i) s.total += sums[i].total * exp(sums[i].largest - base_of(s.largest));
  }
  s = or_nan(s);
  const C log_total = log(s.total), scale = 1 / s.total;
  share_row(
      int(threadIdx.x), long_row_threads, begin, min(begin + length, n),
      [&]<int count>(int64_t i) {
        C v[count];
        load_values(from + i, v);
        SIMT_UNROLL
        for (int j = 0; j < count; ++j) {
          v[j] -= s.largest;
          v[j] = logarithm ? v[j] - log_total : exp(v[j]) * scale;
        }
        store_values(to + i, v);
      },
      from, to);
}

template <class T, bool logarithm>
void softmax(const void* x, void* y, int64_t rows, int64_t n) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  if (with_row_shape<T>(n, [&]<class Shape>(Shape) {
        launch(softmax_rows<T, Shape, logarithm>, unsigned(Shape::blocks(rows)), Shape::threads, 0, from, to, rows, n,
               all_packed<T>(n, from, to));
      }))
    return;
  const int64_t blocks = 2 * device_limits().multiprocessors;
  const int64_t wanted =
      rows > blocks / 2 ? 1 : std::min(div_up(blocks, std::max<int64_t>(rows, 1)), div_up(n, 8192));
  const int64_t length = div_up(div_up(n, wanted), 16) * 16, splits = div_up(n, length);
  const Scratch<RowSum<Compute<T>>> sums(splits > 1 ? rows * splits : 0);
  if (splits > 1)
    launch(row_sums<T>, unsigned(rows * splits), long_row_threads, 0, from, sums.data(), n, splits, length);
  launch(softmax_long<T, logarithm>, unsigned(rows * splits), long_row_threads, 0, from, to, sums.data(), n, splits,
         length);
}

// --- its gradient --------------------------------------------------------------------------------------------------

// What a row's sum is of, and what becomes of an element.
template <bool logarithm, class C>
__device__ C grad_term(C y, C g) {
  return logarithm ? g : y * g;
}
template <bool logarithm, class C>
__device__ C grad_of(C y, C g, C sum) {
  return logarithm ? g - exp(y) * sum : y * (g - sum);
}

template <class T, class Shape, bool logarithm>
__global__ void __launch_bounds__(Shape::threads)
    softmax_grad_rows(const T* y, const T* g, T* dx, int64_t rows, int n, bool packed) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [warp_size]);
  const RowPart<T, Shape> part(int64_t(blockIdx.x) * Shape::rows, rows, n, packed);
  C p[part.count], v[part.count], sum = 0;
  part.load(y + part.row * n, C(0), p);
  part.load(g + part.row * n, C(0), v);
  SIMT_UNROLL
  for (int k = 0; k < part.count; ++k) sum += grad_term<logarithm>(p[k], v[k]);
  sum = combine_lanes<Shape::lanes>(sum, Sum(), partial);
  SIMT_UNROLL
  for (int k = 0; k < part.count; ++k) v[k] = grad_of<logarithm>(p[k], v[k], sum);
  part.store(dx + part.row * n, v);
}

template <class T, bool logarithm>
__global__ void __launch_bounds__(long_row_threads) softmax_grad_long(const T* y, const T* g, T* dx, int64_t n) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [warp_size]);
  y += blockIdx.x * n, g += blockIdx.x * n, dx += blockIdx.x * n;
  C sum = 0;
  share_row(
      int(threadIdx.x), long_row_threads, 0, n,
      [&]<int count>(int64_t i) {
        C p[count], v[count];
        load_values(y + i, p);
        load_values(g + i, v);
        SIMT_UNROLL
        for (int j = 0; j < count; ++j) sum += grad_term<logarithm>(p[j], v[j]);
      },
      y, g);
  sum = combine_lanes<long_row_threads>(sum, Sum(), partial);
  share_row(
      int(threadIdx.x), long_row_threads, 0, n,
      [&]<int count>(int64_t i) {
        C p[count], v[count];
        load_values(y + i, p);
        load_values(g + i, v);
        SIMT_UNROLL
        for (int j = 0; j < count; ++j) v[j] = grad_of<logarithm>(p[j], v[j], sum);
        store_values(dx + i, v);
      },
      y, g, dx);
}

template <class T, bool logarithm>
void softmax_grad(const void* y, const void* g, void* dx, int64_t rows, int64_t n) {
  const T *from = static_cast<const T*>(y), *by = static_cast<const T*>(g);
  T* to = static_cast<T*>(dx);
  if (!with_row_shape<T>(n, [&]<class Shape>(Shape) {
        launch(softmax_grad_rows<T, Shape, logarithm>, unsigned(Shape::blocks(rows)), Shape::threads, 0, from, by, to,
               rows, n, all_packed<T>(n, from, by, to));
      }))
    launch(softmax_grad_long<T, logarithm>, unsigned(rows), long_row_threads, 0, from, by, to, n);
}

// --- cross-entropy -------------------------------------------------------------------------------------------------

// A class's share in the loss is its weight times `even`, and the target's has its weight times `rest` more.
template <class T>
struct Shares {
  using C = Compute<T>;
  C even, rest;
  const T* weight;
  int64_t ignored;

  Shares(const CrossEntropy& c, const void* weight_)
      : even(C(c.classes ? c.label_smoothing / double(c.classes) : 0)),
        rest(C(1 - c.label_smoothing)),
        weight(static_cast<const T*>(weight_)),
        ignored(c.ignore_index) {}
  __device__ C weight_at(int64_t i) const { return weight ? C(weight[i]) : C(1); }
};

template <class T, int lanes>
__global__ void __launch_bounds__(RowShape<lanes, 1>::threads)
    cross_entropy_rows(const T* x, const int64_t* target, Shares<T> shares, IndexGuard guard, int64_t rows,
                       int64_t classes, Statistic<T>* loss, Statistic<T>* log_sum) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [2][warp_size]);
  SIMT_SHARED(C, partial_loss, [warp_size]);
  const int lane = int(threadIdx.x) % lanes;
  const int64_t row = int64_t(blockIdx.x) * RowShape<lanes, 1>::rows + int(threadIdx.x) / lanes;
  const int64_t n = row < rows ? classes : 0;
  const T* from = x + row * classes;
  const RowSum<C> s = or_nan(row_sum<lanes>(from, lane, 0, n, partial));
  const C of_row = s.largest + log(s.total);
  C sum = 0;
  if (shares.even != 0) {
    share_row(
        lane, lanes, 0, n,
        [&]<int count>(int64_t i) {
          C v[count];
          load_values(from + i, v);
          SIMT_UNROLL
          for (int j = 0; j < count; ++j) {
            const C share = shares.even * shares.weight_at(i + j);
            if (share != 0) sum += share * (of_row - v[j]);
          }
        },
        from);
    sum = combine_lanes<lanes>(sum, Sum(), partial_loss);
  }
  if (lane == 0 && row < rows) {
    const int64_t at = target[row];
    const bool counts = at != shares.ignored && guard(at);
    const C share = counts ? shares.rest * shares.weight_at(at) : C(0);
    if (share != 0) sum += share * (of_row - C(from[at]));
    loss[row] = counts ? sum : C(0);
    log_sum[row] = of_row;
  }
}

template <class T, int lanes>
__global__ void __launch_bounds__(RowShape<lanes, 1>::threads)
    cross_entropy_grad_rows(const T* x, const int64_t* target, Shares<T> shares, const Compute<T>* weight_sum,
                            IndexGuard guard, int64_t rows, int64_t classes, const Statistic<T>* log_sum,
                            const Statistic<T>* g, T* dx) {
  using C = Compute<T>;
  const int lane = int(threadIdx.x) % lanes;
  const int64_t row = int64_t(blockIdx.x) * RowShape<lanes, 1>::rows + int(threadIdx.x) / lanes;
  if (row >= rows) return;
  const int64_t at = target[row];
  bool counts = at != shares.ignored;
  if (counts && lane == 0) guard(at);
  counts = counts && at >= 0 && at < classes;
  const C of_target = counts ? shares.rest * shares.weight_at(at) : C(0), of_row = log_sum[row], scale = g[row];
  const C total = of_target + shares.even * (weight_sum ? *weight_sum : C(classes));
  const T* from = x + row * classes;
  T* to = dx + row * classes;
  share_row(
      lane, lanes, 0, classes,
      [&]<int count>(int64_t i) {
        C v[count];
        load_values(from + i, v);
        SIMT_UNROLL
        for (int j = 0; j < count; ++j) {
          C share = shares.even;
          if (shares.weight && share != 0) share *= shares.weight_at(i + j);
          if (i + j == at) share += of_target;
          v[j] = counts ? scale * (exp(v[j] - of_row) * total - share) : C(0);
        }
        store_values(to + i, v);
      },
      from, to);
}

template <class T>
__global__ void __launch_bounds__(long_row_threads) sum_weights(const T* weight, int64_t classes, Compute<T>* sum) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [warp_size]);
  C total = 0;
  for (int64_t i = threadIdx.x; i < classes; i += long_row_threads) total += C(weight[i]);
  total = combine_lanes<long_row_threads>(total, Sum(), partial);
  if (threadIdx.x == 0) *sum = total;
}

// Calls f(RowShape) with the lanes for such a row.
template <class F>
void with_lanes(int64_t n, const F& f) {
  if (n <= 1024)
    f(RowShape<warp_size, 1>());
  else
    f(RowShape<256, 1>());
}

template <class T>
void cross_entropy(const CrossEntropy& c, const void* x, const int64_t* target, const void* weight, void* loss,
                   void* log_sum) {
  with_lanes(c.classes, [&]<class Shape>(Shape) {
    launch(cross_entropy_rows<T, Shape::lanes>, unsigned(Shape::blocks(c.rows)), Shape::threads, 0,
           static_cast<const T*>(x), target, Shares<T>(c, weight), index_guard("cross_entropy", c.classes), c.rows,
           c.classes, static_cast<Statistic<T>*>(loss), static_cast<Statistic<T>*>(log_sum));
  });
}

template <class T>
void cross_entropy_grad(const CrossEntropy& c, const void* x, const int64_t* target, const void* weight,
                        const void* log_sum, const void* g, void* dx) {
  const bool weighted = weight && c.label_smoothing != 0;
  const Scratch<Compute<T>> sum(weighted);
  if (weighted) launch(sum_weights<T>, 1, long_row_threads, 0, static_cast<const T*>(weight), c.classes, sum.data());
  with_lanes(c.classes, [&]<class Shape>(Shape) {
    launch(cross_entropy_grad_rows<T, Shape::lanes>, unsigned(Shape::blocks(c.rows)), Shape::threads, 0,
           static_cast<const T*>(x), target, Shares<T>(c, weight), weighted ? sum.data() : nullptr,
           index_guard("cross_entropy", c.classes), c.rows, c.classes, static_cast<const Statistic<T>*>(log_sum),
           static_cast<const Statistic<T>*>(g), static_cast<T*>(dx));
  });
}

template <class T>
void fill_for(KernelTable& table) {
  table.softmax = softmax<T, false>;
  table.softmax_grad = softmax_grad<T, false>;
  table.log_softmax = softmax<T, true>;
  table.log_softmax_grad = softmax_grad<T, true>;
  table.cross_entropy = cross_entropy<T>;
  table.cross_entropy_grad = cross_entropy_grad<T>;
}

}  // namespace

void fill_softmax(KernelTable& table, DType dtype) {
  if (dtype == DType::float32) fill_for<float>(table);
  if (dtype == DType::float64) fill_for<double>(table);
  if (dtype == DType::bfloat16) fill_for<bf16>(table);
}

}  // namespace gradus::cuda
