// Normalisation: of rows (layer and RMS norm) here, of channels (batch norm) in channel_norms.h.
//
// A row of up to 16384 elements (for the gradient 8192) is read once and stays in registers. Gradients of weights are
// sums down the columns: each block adds up the rows it meets, and a second kernel adds up the blocks' sums.
#include <algorithm>

#include "tensor/kernels/cuda/block.h"
#include "tensor/kernels/cuda/channel_norms.h"
#include "tensor/kernels/cuda/scalar.h"

namespace gradus::cuda {
namespace {

constexpr int long_row_threads = 1024;

// Operands of a norm. Without `centred` it is RMS norm: nothing is taken for the mean, and there is no bias.
template <class T>
struct Norm {
  const T *x, *weight, *bias;
  int64_t rows, n;
  Compute<T> eps;
  T* y;
  Statistic<T>*mean, *rstd;

  __device__ Compute<T> weight_at(int64_t i) const { return weight ? Compute<T>(weight[i]) : Compute<T>(1); }
  __device__ Compute<T> bias_at(int64_t i) const { return bias ? Compute<T>(bias[i]) : Compute<T>(0); }
};

template <class T, class Shape, bool centred>
__global__ void __launch_bounds__(Shape::threads) norm_rows(Norm<T> norm, bool packed) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [2][warp_size]);
  const RowPart<T, Shape> part(int64_t(blockIdx.x) * Shape::rows, norm.rows, int(norm.n), packed);
  C v[part.count], w[part.count], mean = 0, squares = 0;
  part.load(norm.x + part.row * norm.n, C(0), v);
  if constexpr (centred) {
    SIMT_UNROLL
    for (int k = 0; k < part.count; ++k) mean += v[k];
    mean = combine_lanes<Shape::lanes>(mean, Sum(), partial[0]) / C(norm.n);
  }
  part.each([&](int k, int) {
    v[k] -= mean;
    squares = fma(v[k], v[k], squares);
  });
  squares = combine_lanes<Shape::lanes>(squares, Sum(), partial[1]);
  const C scale = 1 / sqrt(squares / C(norm.n) + norm.eps);
  if (part.lane == 0 && part.n > 0) {
    if constexpr (centred) norm.mean[part.row] = mean;
    norm.rstd[part.row] = scale;
  }
  SIMT_UNROLL
  for (int k = 0; k < part.count; ++k) v[k] *= scale;
  if (norm.weight) {
    part.load(norm.weight, C(0), w);
    SIMT_UNROLL
    for (int k = 0; k < part.count; ++k) v[k] *= w[k];
  }
  if (norm.bias) {
    part.load(norm.bias, C(0), w);
    SIMT_UNROLL
    for (int k = 0; k < part.count; ++k) v[k] += w[k];
  }
  part.store(norm.y + part.row * norm.n, v);
}

// A block for each row, which is read three times, mostly from the cache.
template <class T, bool centred>
__global__ void __launch_bounds__(long_row_threads, 1) norm_long(Norm<T> norm) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [2][warp_size]);
  const int thread = int(threadIdx.x);
  const T* x = norm.x + blockIdx.x * norm.n;
  T* y = norm.y + blockIdx.x * norm.n;
  C mean = 0, squares = 0;
  if constexpr (centred) {
    const auto add = [&]<int count>(int64_t i) {
      C v[count];
      load_values(x + i, v);
      SIMT_UNROLL
      for (int j = 0; j < count; ++j) mean += v[j];
    };
    share_row(thread, long_row_threads, 0, norm.n, add, x);
    mean = combine_lanes<long_row_threads>(mean, Sum(), partial[0]) / C(norm.n);
  }
  const auto add_square = [&]<int count>(int64_t i) {
    C v[count];
    load_values(x + i, v);
    SIMT_UNROLL
    for (int j = 0; j < count; ++j) squares = fma(v[j] - mean, v[j] - mean, squares);
  };
  share_row(thread, long_row_threads, 0, norm.n, add_square, x);
  squares = combine_lanes<long_row_threads>(squares, Sum(), partial[1]);
  const C scale = 1 / sqrt(squares / C(norm.n) + norm.eps);
  if (thread == 0) {
    if constexpr (centred) norm.mean[blockIdx.x] = mean;
    norm.rstd[blockIdx.x] = scale;
  }
  const auto normalise = [&]<int count>(int64_t i) {
    C v[count];
    load_values(x + i, v);
    SIMT_UNROLL
    for (int j = 0; j < count; ++j) v[j] = (v[j] - mean) * scale * norm.weight_at(i + j) + norm.bias_at(i + j);
    store_values(y + i, v);
  };
  share_row(thread, long_row_threads, 0, norm.n, normalise, x, y);
}

template <class T, bool centred>
void norm(const Norm<T>& operands) {
  const Norm<T>& o = operands;
  if (!with_row_shape<T>(o.n, [&]<class Shape>(Shape) {
        launch(norm_rows<T, Shape, centred>, unsigned(Shape::blocks(o.rows)), Shape::threads, 0, o,
               all_packed<T>(o.n, o.x, o.y, o.weight, o.bias));
      }))
    launch(norm_long<T, centred>, unsigned(o.rows), long_row_threads, 0, o);
}

// --- gradients -----------------------------------------------------------------------------------------------------

template <class T>
struct NormGrad {
  const T *x, *weight, *g;
  const Statistic<T>*mean, *rstd;
  int64_t rows, n;
  T* dx;
  Compute<T>*partial_w, *partial_b;  // (blocks, n), or null

  template <bool centred>
  __device__ Compute<T> mean_of(int64_t row) const {
    if constexpr (centred)
      return mean[row];
    else
      return 0;
  }
  __device__ Compute<T> weight_at(int64_t i) const { return weight ? Compute<T>(weight[i]) : Compute<T>(1); }
};

// Threads of a block: some rows at a time where rows are short.
template <class Shape>
constexpr int grad_threads = Shape::lanes > 256 ? Shape::lanes : 256;

// Adds up what the groups of a block hold of n columns, one group after the other, in `columns`, and writes it to `to`.
template <class T, class Shape>
__device__ void write_columns(const RowPart<T, Shape>& part, const Compute<T> (&sums)[RowPart<T, Shape>::count],
                              Compute<T>* columns, Compute<T>* to) {
  constexpr int threads = grad_threads<Shape>, groups = threads / Shape::lanes;
  if constexpr (groups == 1) {
    part.each([&](int k, int i) { to[i] = sums[k]; });
  } else {
    for (int group = 0; group < groups; ++group) {
      if (int(threadIdx.x) / Shape::lanes == group)
        part.each([&](int k, int i) { columns[i] = group ? columns[i] + sums[k] : sums[k]; });
      __syncthreads();
    }
    for (int i = int(threadIdx.x); i < part.n; i += threads) to[i] = columns[i];
    __syncthreads();
  }
}

// As combine_lanes does, two sums with one barrier.
template <int lanes, class C>
__device__ void sum_both(C& first, C& second, C (&partial)[2][warp_size]) {
  first = combine_lanes<std::min(lanes, warp_size)>(first, Sum(), partial[0]);
  second = combine_lanes<std::min(lanes, warp_size)>(second, Sum(), partial[1]);
  if constexpr (lanes > warp_size) {
    constexpr int warps = lanes / warp_size;
    const int warp = int(threadIdx.x) / warp_size, lane = int(threadIdx.x) % warp_size;
    if (lane == 0) partial[0][warp] = first, partial[1][warp] = second;
    __syncthreads();
    const int at = warp / warps * warps + lane % warps;
    first = combine_lanes<warps>(partial[0][at], Sum(), partial[0]);
    second = combine_lanes<warps>(partial[1][at], Sum(), partial[1]);
  }
}

template <class T, class Shape, bool centred>
__global__ void __launch_bounds__(grad_threads<Shape>, 512 / grad_threads<Shape>)
    norm_grad_rows(NormGrad<T> o, bool packed) {
  using C = Compute<T>;
  constexpr int groups = grad_threads<Shape> / Shape::lanes;
  SIMT_SHARED(C, partial, [2][2][warp_size]);
  SIMT_DYNAMIC_SHARED(C, columns);
  using Part = RowPart<T, Shape>;
  C sum_w[Part::count] = {}, sum_b[Part::count] = {};
  int turn = 0;  // a result of the turn before may still be read
  for (int64_t first = int64_t(blockIdx.x) * groups; first < o.rows; first += int64_t(gridDim.x) * groups) {
    const Part part(first, o.rows, int(o.n), packed);
    C x[Part::count], g[Part::count], w[Part::count], sum = 0, dot = 0;
    part.load(o.x + part.row * o.n, C(0), x);
    part.load(o.g + part.row * o.n, C(0), g);
    if (o.weight) {
      part.load(o.weight, C(0), w);
    } else {
      SIMT_UNROLL
      for (int k = 0; k < Part::count; ++k) w[k] = 1;
    }
    const C mean = o.template mean_of<centred>(part.row), scale = o.rstd[part.row];
    SIMT_UNROLL
    for (int k = 0; k < Part::count; ++k) {
      x[k] = (x[k] - mean) * scale;
      sum_w[k] = fma(g[k], x[k], sum_w[k]);
      sum_b[k] += g[k];
      g[k] *= w[k];
      sum += g[k];
      dot = fma(g[k], x[k], dot);
    }
    if constexpr (centred)
      sum_both<Shape::lanes>(sum, dot, partial[turn]);
    else
      dot = combine_lanes<Shape::lanes>(dot, Sum(), partial[turn][1]);
    sum /= C(o.n), dot /= C(o.n);
    SIMT_UNROLL
    for (int k = 0; k < Part::count; ++k) {
      const C away = centred ? fma(x[k], dot, sum) : x[k] * dot;
      g[k] = scale * (g[k] - away);
    }
    part.store(o.dx + part.row * o.n, g);
    turn ^= 1;
  }
  const Part whole(0, groups, int(o.n), packed);
  if (o.partial_w) write_columns(whole, sum_w, columns, o.partial_w + blockIdx.x * o.n);
  if (centred && o.partial_b) write_columns(whole, sum_b, columns, o.partial_b + blockIdx.x * o.n);
}

template <class T, bool centred>
__global__ void __launch_bounds__(long_row_threads, 1) norm_grad_long(NormGrad<T> o) {
  using C = Compute<T>;
  SIMT_SHARED(C, partial, [2][warp_size]);
  const int64_t row = blockIdx.x, at = row * o.n;
  const C mean = o.template mean_of<centred>(row), scale = o.rstd[row];
  C sum = 0, dot = 0;
  const auto add = [&]<int count>(int64_t i) {
    C x[count], g[count];
    load_values(o.x + at + i, x);
    load_values(o.g + at + i, g);
    SIMT_UNROLL
    for (int j = 0; j < count; ++j) {
      g[j] *= o.weight_at(i + j);
      sum += g[j];
      dot = fma(g[j], (x[j] - mean) * scale, dot);
    }
  };
  share_row(int(threadIdx.x), long_row_threads, 0, o.n, add, o.x + at, o.g + at);
  sum = centred ? combine_lanes<long_row_threads>(sum, Sum(), partial[0]) / C(o.n) : 0;
  dot = combine_lanes<long_row_threads>(dot, Sum(), partial[1]) / C(o.n);
  const auto write = [&]<int count>(int64_t i) {
    C x[count], g[count];
    load_values(o.x + at + i, x);
    load_values(o.g + at + i, g);
    SIMT_UNROLL
    for (int j = 0; j < count; ++j) g[j] = scale * (g[j] * o.weight_at(i + j) - fma((x[j] - mean) * scale, dot, sum));
    store_values(o.dx + at + i, g);
  };
  share_row(int(threadIdx.x), long_row_threads, 0, o.n, write, o.x + at, o.g + at, o.dx + at);
}

// Sums down the columns where rows are too long for a block to keep them all: a block has a warp's columns of every
// (gridDim.y)th eight rows.
constexpr int column_warps = 8;
template <class T, bool centred>
__global__ void __launch_bounds__(column_warps* warp_size) norm_grad_columns(NormGrad<T> o) {
  using C = Compute<T>;
  SIMT_SHARED(C, sums, [2][column_warps][warp_size]);
  const int lane = int(threadIdx.x), warp = int(threadIdx.y);
  const int64_t column = int64_t(blockIdx.x) * warp_size + lane;
  C sum_w = 0, sum_b = 0;
  for (int64_t row = int64_t(blockIdx.y) * column_warps + warp; column < o.n && row < o.rows;
       row += int64_t(gridDim.y) * column_warps) {
    const C g = C(o.g[row * o.n + column]);
    sum_w = fma(g, (C(o.x[row * o.n + column]) - o.template mean_of<centred>(row)) * o.rstd[row], sum_w);
    sum_b += g;
  }
  sums[0][warp][lane] = sum_w, sums[1][warp][lane] = sum_b;
  __syncthreads();
  if (warp < 2 && column < o.n) {
    C total = 0;
    for (int i = 0; i < column_warps; ++i) total += sums[warp][i][lane];
    C* to = warp == 0 ? o.partial_w : o.partial_b;
    if (to) to[blockIdx.y * o.n + column] = total;
  }
}

// y[column] = the sum of (count, n) partial results down each column; blocks (., 1) do the same for the second ones.
constexpr int sum_warps = 32;
template <class T>
__global__ void __launch_bounds__(sum_warps* warp_size)
    sum_columns(const Compute<T>* first, const Compute<T>* second, int count, int64_t n, T* first_y, T* second_y) {
  using C = Compute<T>;
  constexpr int ahead = 4;  // loads on their way at a time
  SIMT_SHARED(C, sums, [sum_warps][warp_size]);
  const C* from = blockIdx.y == 0 ? first : second;
  T* y = blockIdx.y == 0 ? first_y : second_y;
  const int lane = int(threadIdx.x), warp = int(threadIdx.y);
  const int64_t column = int64_t(blockIdx.x) * warp_size + lane;
  const bool wanted = column < n && y;
  C sum = 0;
  for (int row = warp; wanted && row < count; row += ahead * sum_warps) {
    C v[ahead];
    SIMT_UNROLL
    for (int j = 0; j < ahead; ++j)
      v[j] = row + j * sum_warps < count ? from[(row + j * sum_warps) * n + column] : C(0);
    SIMT_UNROLL
    for (int j = 0; j < ahead; ++j) sum += v[j];
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp == 0 && wanted) {
    for (int i = 1; i < sum_warps; ++i) sum += sums[i][lane];
    y[column] = T(sum);
  }
}

template <class T, bool centred>
void norm_grad(NormGrad<T> o, T* dw, T* db) {
  using C = Compute<T>;
  // Blocks that can run at a time; fewer where there are few rows, for each has sums to write.
  const int multiprocessors = device_limits().multiprocessors;
  int64_t blocks = std::min<int64_t>(2 * multiprocessors, div_up(o.rows, 4));
  const bool sums = dw || db;
  const Scratch<C> partial_w(dw ? blocks * o.n : 0), partial_b(db ? blocks * o.n : 0);
  o.partial_w = dw ? partial_w.data() : nullptr;
  o.partial_b = db ? partial_b.data() : nullptr;
  const bool fits = with_row_shape<T, 512>(o.n, [&]<class Shape>(Shape) {
    if (Shape::lanes > 256) blocks = std::min<int64_t>(blocks, multiprocessors);
    const size_t shared = Shape::lanes < 256 ? size_t(o.n) * sizeof(C) : 0;
    launch(norm_grad_rows<T, Shape, centred>, unsigned(blocks), grad_threads<Shape>, shared, o,
           all_packed<T>(o.n, o.x, o.g, o.weight, o.dx));
  });
  const unsigned column_blocks = unsigned(div_up(o.n, warp_size));
  if (!fits) {
    blocks = std::min<int64_t>(blocks, 16);
    launch(norm_grad_long<T, centred>, unsigned(o.rows), long_row_threads, 0, o);
    if (sums)
      launch(norm_grad_columns<T, centred>, dim3(column_blocks, unsigned(blocks)), dim3(warp_size, column_warps), 0,
             o);
  }
  if (sums)
    launch(sum_columns<T>, dim3(column_blocks, db ? 2 : 1), dim3(warp_size, sum_warps), 0, o.partial_w, o.partial_b,
           blocks, o.n, dw, db);
}

template <class T>
const T* in(const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
T* out(void* p) {
  return static_cast<T*>(p);
}

template <class T>
void layer_norm(const void* x, const void* weight, const void* bias, double eps, int64_t rows, int64_t n, void* y,
                void* mean, void* rstd) {
  norm<T, true>({in<T>(x), in<T>(weight), in<T>(bias), rows, n, Compute<T>(eps), out<T>(y), out<Statistic<T>>(mean),
                 out<Statistic<T>>(rstd)});
}
template <class T>
void layer_norm_grad(const void* x, const void* weight, const void* mean, const void* rstd, const void* g,
                     int64_t rows, int64_t n, void* dx, void* dw, void* db) {
  norm_grad<T, true>({in<T>(x), in<T>(weight), in<T>(g), in<Statistic<T>>(mean), in<Statistic<T>>(rstd), rows, n,
                      out<T>(dx), nullptr, nullptr},
                     out<T>(dw), out<T>(db));
}
template <class T>
void rms_norm(const void* x, const void* weight, double eps, int64_t rows, int64_t n, void* y, void* rstd) {
  norm<T, false>(
      {in<T>(x), in<T>(weight), nullptr, rows, n, Compute<T>(eps), out<T>(y), nullptr, out<Statistic<T>>(rstd)});
}
template <class T>
void rms_norm_grad(const void* x, const void* weight, const void* rstd, const void* g, int64_t rows, int64_t n,
                   void* dx, void* dw) {
  norm_grad<T, false>(
      {in<T>(x), in<T>(weight), in<T>(g), nullptr, in<Statistic<T>>(rstd), rows, n, out<T>(dx), nullptr, nullptr},
      out<T>(dw), nullptr);
}

template <class T>
void fill_for(KernelTable& table) {
  table.layer_norm = layer_norm<T>;
  table.layer_norm_grad = layer_norm_grad<T>;
  table.rms_norm = rms_norm<T>;
  table.rms_norm_grad = rms_norm_grad<T>;
  table.batch_norm = batch_norm<T>;
  table.batch_norm_grad = batch_norm_grad<T>;
  table.channel_affine = channel_affine<T>;
}

}  // namespace

void fill_norms(KernelTable& table, DType dtype) {
  if (dtype == DType::float32) fill_for<float>(table);
  if (dtype == DType::float64) fill_for<double>(table);
  if (dtype == DType::bfloat16) fill_for<bf16>(table);
}

}  // namespace gradus::cuda
