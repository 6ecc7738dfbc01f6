// Pooling. Gradients are gathered: each element of the input asks the windows that cover it, in their order, so
// nothing is added atomically.
#include <algorithm>
#include <type_traits>

#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {
namespace {

constexpr int block_size = 256;

dim3 blocks_for(int64_t n) { return dim3(unsigned(std::min<int64_t>(div_up(n, block_size), 1 << 30))); }

// Pool2d in the type in which offsets are computed: 32 bits where no array has more elements, or 64.
template <class Index>
struct Pool {
  Index planes, height, width, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  bool count_include_pad, adaptive, relu;
  explicit Pool(const Pool2d& p)
      : planes(Index(p.planes)),
        height(Index(p.height)),
        width(Index(p.width)),
        out_h(Index(p.out_h)),
        out_w(Index(p.out_w)),
        kernel_h(Index(p.kernel_h)),
        kernel_w(Index(p.kernel_w)),
        stride_h(Index(p.stride_h)),
        stride_w(Index(p.stride_w)),
        pad_h(Index(p.pad_h)),
        pad_w(Index(p.pad_w)),
        count_include_pad(p.count_include_pad),
        adaptive(p.adaptive),
        relu(p.relu) {}
};

// Calls f(Pool) with the index type that serves.
template <class F>
void with_pool(const Pool2d& p, F f) {
  const int64_t largest = std::max(p.planes * p.height * p.width, p.planes * p.out_h * p.out_w);
  if (largest < int64_t(1) << 30)  // room for a step of the grid beyond
    f(Pool<int32_t>(p));
  else
    f(Pool<int64_t>(p));
}

// The rows, or the columns, of window i: cut off at the plane's edges, and with the padding it has.
template <class Index>
struct Span {
  Index begin, end, padded;
  __device__ Span(bool adaptive, Index i, Index size, Index out, Index kernel, Index stride, Index pad) {
    if (adaptive) {
      begin = Index(int64_t(i) * size / out), end = Index(div_up((int64_t(i) + 1) * size, out));
      padded = end - begin;
      return;
    }
    const Index first = i * stride - pad, last = min(first + kernel, size + pad);
    begin = max(first, Index(0)), end = min(last, size), padded = last - first;
  }
};
template <class Index>
struct Window {
  Span<Index> rows, columns;
  __device__ Window(const Pool<Index>& p, Index i, Index j)
      : rows(p.adaptive, i, p.height, p.out_h, p.kernel_h, p.stride_h, p.pad_h),
        columns(p.adaptive, j, p.width, p.out_w, p.kernel_w, p.stride_w, p.pad_w) {}
  __device__ Index size(const Pool<Index>& p) const {  // what an average divides by
    return p.count_include_pad && !p.adaptive ? rows.padded * columns.padded
                                              : (rows.end - rows.begin) * (columns.end - columns.begin);
  }
};

// The windows [begin, end) that cover row, or column, `at`.
template <class Index>
struct Cover {
  Index begin, end;
  __device__ Cover(bool adaptive, Index at, Index size, Index out, Index kernel, Index stride, Index pad) {
    if (adaptive) {
      begin = Index(int64_t(at) * out / size), end = Index(div_up((int64_t(at) + 1) * out, size));
      return;
    }
    begin = at + pad < kernel ? 0 : (at + pad - kernel) / stride + 1;
    end = min((at + pad) / stride + 1, out);
  }
};

// Where in a plane's windows one is, and in which plane: (plane, i, j) of element `at` of (planes, rows, columns).
template <class Index>
struct Place {
  Index plane, i, j;
  __device__ Place(Index at, Index rows, Index columns) {
    plane = at / (rows * columns);
    const Index in_plane = at - plane * rows * columns;
    i = in_plane / columns, j = in_plane - i * columns;
  }
};

// --- maximum --------------------------------------------------------------------------------------------------------

template <class T>
__device__ T relu(T x) {
  return Compute<T>(x) <= 0 ? T(0) : x;  // NaN stays
}

// The place of the window's largest element in its plane: the first of equals; NaN wins.
template <class T, class Index>
__device__ Index largest_in(const Pool<Index>& p, const Window<Index>& w, const T* plane) {
  Index best = w.rows.begin * p.width + w.columns.begin;
  Compute<T> largest = Compute<T>(plane[best]);
  for (Index h = w.rows.begin; h < w.rows.end; ++h) {
    for (Index v = w.columns.begin; v < w.columns.end; ++v) {
      const Compute<T> value = Compute<T>(plane[h * p.width + v]);
      if (largest == largest && (value > largest || value != value)) largest = value, best = h * p.width + v;
    }
  }
  return best;
}

// Either of y and of argmax, of type Place, may be null.
template <class T, class Index, class Argmax>
__global__ void max_windows(Pool<Index> p, const T* x, T* y, Argmax* argmax) {
  const Index outputs = p.planes * p.out_h * p.out_w;
  for (Index o = Index(blockIdx.x) * block_size + Index(threadIdx.x); o < outputs;
       o += Index(gridDim.x) * block_size) {
    const Place<Index> at(o, p.out_h, p.out_w);
    const T* plane = x + at.plane * p.height * p.width;
    const Index best = largest_in(p, Window<Index>(p, at.i, at.j), plane);
    if (y) y[o] = p.relu ? relu(plane[best]) : plane[best];
    if (argmax) argmax[o] = best;
  }
}

// Windows of 2 x 2 that lie side by side are the commonest: a thread takes two of them, four numbers of each row.
template <class T>
struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Four {
  T v[4];
};
template <class T>
struct alignas(2 * sizeof(T)) Two {
  T v[2];
};
template <class T>
struct Pair {  // of windows: the largest in each, and which of its four it is
  Compute<T> largest[2];
  int place[2];
  __device__ Pair(const T* top, int64_t width) {
    const auto above = *reinterpret_cast<const Four<T>*>(top);
    const auto below = *reinterpret_cast<const Four<T>*>(top + width);
    SIMT_UNROLL
    for (int w = 0; w < 2; ++w) {
      const Compute<T> window[4] = {Compute<T>(above.v[2 * w]), Compute<T>(above.v[2 * w + 1]),
                                    Compute<T>(below.v[2 * w]), Compute<T>(below.v[2 * w + 1])};
      largest[w] = window[0], place[w] = 0;
      SIMT_UNROLL
      for (int k = 1; k < 4; ++k)
        if (largest[w] == largest[w] && (window[k] > largest[w] || window[k] != window[k]))
          largest[w] = window[k], place[w] = k;
    }
  }
};

template <class T>
__global__ void max_pairs(Pool<int32_t> p, const T* x, T* y, int64_t* argmax) {
  const int pairs = p.planes * p.out_h * (p.out_w / 2);
  for (int at = int(blockIdx.x) * block_size + int(threadIdx.x); at < pairs; at += int(gridDim.x) * block_size) {
    const int row = at / (p.out_w / 2),
              column = (at - row * (p.out_w / 2)) * 2;  // row: of all planes' outputs
    const Pair<T> pair(x + (int64_t(row) * 2 * p.width + column * 2), p.width);
    Two<T> out;
    for (int w = 0; w < 2; ++w) out.v[w] = p.relu ? relu(T(pair.largest[w])) : T(pair.largest[w]);
    const int64_t o = int64_t(row) * p.out_w + column;
    *reinterpret_cast<Two<T>*>(y + o) = out;
    for (int w = 0; argmax && w < 2; ++w) {
      const int i = row % p.out_h * 2 + pair.place[w] / 2, j = (column + w) * 2 + pair.place[w] % 2;
      argmax[o + w] = int64_t(i) * p.width + j;
    }
  }
}

template <class T>
__global__ void max_pairs_grad(Pool<int32_t> p, const T* x, const T* g, T* dx) {
  const int pairs = p.planes * p.out_h * (p.out_w / 2);
  for (int at = int(blockIdx.x) * block_size + int(threadIdx.x); at < pairs; at += int(gridDim.x) * block_size) {
    const int row = at / (p.out_w / 2), column = (at - row * (p.out_w / 2)) * 2;
    const int64_t top = int64_t(row) * 2 * p.width + column * 2;
    const Pair<T> pair(x + top, p.width);
    const auto gradient = *reinterpret_cast<const Two<T>*>(g + int64_t(row) * p.out_w + column);
    Four<T> rows[2];
    for (int k = 0; k < 8; ++k) {
      const int w = k % 4 / 2, place = k / 4 * 2 + k % 2;
      const bool takes = pair.place[w] == place && !(p.relu && pair.largest[w] <= 0);
      rows[k / 4].v[k % 4] = takes ? gradient.v[w] : T(0);
    }
    *reinterpret_cast<Four<T>*>(dx + top) = rows[0];
    *reinterpret_cast<Four<T>*>(dx + top + p.width) = rows[1];
  }
}

bool in_pairs(const Pool2d& p, const void* x, const void* y) {
  const bool windows =
      p.kernel_h == 2 && p.kernel_w == 2 && p.stride_h == 2 && p.stride_w == 2 && !p.pad_h && !p.pad_w;
  return windows && p.height == 2 * p.out_h && p.width == 2 * p.out_w && p.out_w % 2 == 0 &&
         p.planes * p.height * p.width < int64_t(1) << 30 && reinterpret_cast<uintptr_t>(x) % 16 == 0 &&
         reinterpret_cast<uintptr_t>(y) % 16 == 0;
}

template <class T>
void max_pool2d(const Pool2d& p, const void* x, void* y, int64_t* argmax) {
  const int64_t outputs = p.planes * p.out_h * p.out_w;
  if (in_pairs(p, x, y)) {
    launch(max_pairs<T>, blocks_for(outputs / 2), dim3(block_size), 0, Pool<int32_t>(p), static_cast<const T*>(x),
           static_cast<T*>(y), argmax);
    return;
  }
  with_pool(p, [&]<class Index>(const Pool<Index>& pool) {
    launch(max_windows<T, Index, int64_t>, blocks_for(outputs), dim3(block_size), 0, pool, static_cast<const T*>(x),
           static_cast<T*>(y), argmax);
  });
}

template <class T, class Index>
__global__ void max_grad(Pool<Index> p, const T* x, const Index* argmax, const T* g, T* dx) {
  const Index inputs = p.planes * p.height * p.width;
  for (Index n = Index(blockIdx.x) * block_size + Index(threadIdx.x); n < inputs;
       n += Index(gridDim.x) * block_size) {
    const Place<Index> at(n, p.height, p.width);
    const Index here = at.i * p.width + at.j;
    const Cover<Index> rows(false, at.i, p.height, p.out_h, p.kernel_h, p.stride_h, p.pad_h);
    const Cover<Index> columns(false, at.j, p.width, p.out_w, p.kernel_w, p.stride_w, p.pad_w);
    Compute<T> sum = 0;
    for (Index i = rows.begin; i < rows.end; ++i) {
      for (Index j = columns.begin; j < columns.end; ++j) {
        const Index o = (at.plane * p.out_h + i) * p.out_w + j;
        if (argmax[o] == here) sum += Compute<T>(g[o]);
      }
    }
    dx[n] = p.relu && Compute<T>(x[n]) <= 0 ? T(0) : T(sum);
  }
}

template <class T>
void max_pool2d_grad(const Pool2d& p, const void* x, const void* g, void* dx) {
  const T *from = static_cast<const T*>(x), *gradient = static_cast<const T*>(g);
  const int64_t outputs = p.planes * p.out_h * p.out_w, inputs = p.planes * p.height * p.width;
  if (in_pairs(p, x, dx) && reinterpret_cast<uintptr_t>(g) % 16 == 0) {
    launch(max_pairs_grad<T>, blocks_for(outputs / 2), dim3(block_size), 0, Pool<int32_t>(p), from, gradient,
           static_cast<T*>(dx));
    return;
  }
  with_pool(p, [&]<class Index>(const Pool<Index>& pool) {
    Scratch<Index> argmax(outputs);
    launch(max_windows<T, Index, Index>, blocks_for(outputs), dim3(block_size), 0, pool, from,
           static_cast<T*>(nullptr), argmax.data());
    launch(max_grad<T, Index>, blocks_for(inputs), dim3(block_size), 0, pool, from, argmax.data(), gradient,
           static_cast<T*>(dx));
  });
}

// --- average --------------------------------------------------------------------------------------------------------

// `lanes` threads add up a window: 1, or a warp where windows are large. A lane has every lanes-th column.
template <class T, class Index, int lanes>
__global__ void average_windows(Pool<Index> p, const T* x, T* y) {
  const Index outputs = p.planes * p.out_h * p.out_w, step = Index(gridDim.x) * (block_size / lanes);
  const int lane = int(threadIdx.x) % lanes;
  for (Index o = Index(blockIdx.x) * (block_size / lanes) + Index(threadIdx.x) / lanes; o < outputs; o += step) {
    const Place<Index> at(o, p.out_h, p.out_w);
    const Window<Index> w(p, at.i, at.j);
    const T* plane = x + at.plane * p.height * p.width;
    const Index columns = w.columns.end - w.columns.begin, elements = (w.rows.end - w.rows.begin) * columns;
    Compute<T> sum = 0;
    Index h = w.rows.begin, v = w.columns.begin + lane;
    for (Index k = lane; k < elements; k += lanes) {
      while (v >= w.columns.end) v -= columns, ++h;
      sum += Compute<T>(plane[h * p.width + v]);
      v += lanes;
    }
    for (int reach = lanes / 2; reach; reach /= 2) sum += __shfl_xor_sync(whole_warp, sum, reach);
    if (lane == 0) y[o] = T(sum / Compute<T>(w.size(p)));
  }
}

template <class T>
void avg_pool2d(const Pool2d& p, const void* x, void* y) {
  const int64_t outputs = p.planes * p.out_h * p.out_w;
  if (outputs == 0) return;
  const int64_t elements =
      p.adaptive ? div_up(p.height, p.out_h) * div_up(p.width, p.out_w) : p.kernel_h * p.kernel_w;
  with_pool(p, [&]<class Index>(const Pool<Index>& pool) {
    auto run = [&]<int lanes>(std::integral_constant<int, lanes>) {
      launch(average_windows<T, Index, lanes>, blocks_for(outputs * lanes), dim3(block_size), 0, pool,
             static_cast<const T*>(x), static_cast<T*>(y));
    };
    if (elements < 32)
      run(std::integral_constant<int, 1>());
    else
      run(std::integral_constant<int, warp_size>());
  });
}

template <class T, class Index>
__global__ void average_grad(Pool<Index> p, const T* g, T* dx) {
  const Index inputs = p.planes * p.height * p.width;
  for (Index n = Index(blockIdx.x) * block_size + Index(threadIdx.x); n < inputs;
       n += Index(gridDim.x) * block_size) {
    const Place<Index> at(n, p.height, p.width);
    const Cover<Index> rows(p.adaptive, at.i, p.height, p.out_h, p.kernel_h, p.stride_h, p.pad_h);
    const Cover<Index> columns(p.adaptive, at.j, p.width, p.out_w, p.kernel_w, p.stride_w, p.pad_w);
    Compute<T> sum = 0;
    for (Index i = rows.begin; i < rows.end; ++i) {
      for (Index j = columns.begin; j < columns.end; ++j) {
        const Index o = (at.plane * p.out_h + i) * p.out_w + j;
        sum += Compute<T>(g[o]) / Compute<T>(Window<Index>(p, i, j).size(p));
      }
    }
    dx[n] = T(sum);
  }
}

template <class T>
void avg_pool2d_grad(const Pool2d& p, const void* g, void* dx) {
  with_pool(p, [&]<class Index>(const Pool<Index>& pool) {
    launch(average_grad<T, Index>, blocks_for(p.planes * p.height * p.width), dim3(block_size), 0, pool,
           static_cast<const T*>(g), static_cast<T*>(dx));
  });
}

template <class T>
void fill_for(KernelTable& table) {
  table.max_pool2d = &max_pool2d<T>;
  table.max_pool2d_grad = &max_pool2d_grad<T>;
  table.avg_pool2d = &avg_pool2d<T>;
  table.avg_pool2d_grad = &avg_pool2d_grad<T>;
}

}  // namespace

void fill_pool(KernelTable& table, DType dtype) {
  if (dtype == DType::float32) fill_for<float>(table);
  if (dtype == DType::float64) fill_for<double>(table);
  if (dtype == DType::bfloat16) fill_for<bf16>(table);
}

}  // namespace gradus::cuda
