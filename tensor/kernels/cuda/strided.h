// Element-wise kernels over views with any strides: a thread finds its elements by 32-bit arithmetic, and takes 16
// bytes at a time where the innermost dimension allows it.
#pragma once

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "tensor/kernels/cuda/kernels.h"
#include "tensor/kernels/cuda/space.h"

namespace gradus::cuda {

// where ... triangle, in copy.cu; fill_elementwise calls it.
void fill_copies(KernelTable& table, DType dtype);

// A space as threads see it: in steps of a vector, or of one element, along the innermost dimension.
template <int views>
struct Walk {
  int ndim;
  Divisor sizes[8];
  int32_t strides[views][8];
  uint32_t count;    // of steps
  bool same[views];  // there is one element for the whole of a vector

  Walk(const Space<views>& s, int step) : ndim(s.ndim) {
    const int last = ndim - 1;
    for (int d = 0; d < ndim; ++d) {
      sizes[d] = Divisor(std::max<int64_t>(1, d == last ? s.shape[d] / step : s.shape[d]));
      for (int k = 0; k < views; ++k) strides[k][d] = int32_t(s.strides[k][d] * (d == last ? step : 1));
    }
    count = uint32_t(s.numel() / step);
    for (int k = 0; k < views; ++k) same[k] = s.strides[k][last] == 0;
  }

  // Where some steps find their elements in each view.
  template <int steps>
  __device__ void locate(const uint32_t (&step)[steps], int32_t (&offsets)[steps][views]) const {
    uint32_t above[steps];
    SIMT_UNROLL
    for (int s = 0; s < steps; ++s) {
      above[s] = step[s];
      for (int k = 0; k < views; ++k) offsets[s][k] = 0;
    }
    SIMT_NO_UNROLL
    for (int d = ndim - 1; d > 0; --d) {
      SIMT_UNROLL
      for (int s = 0; s < steps; ++s) {
        const uint32_t rest = above[s];
        above[s] = sizes[d].quotient(rest);
        for (int k = 0; k < views; ++k) offsets[s][k] += int32_t(rest - above[s] * sizes[d].size) * strides[k][d];
      }
    }
    SIMT_UNROLL
    for (int s = 0; s < steps; ++s) {
      for (int k = 0; k < views; ++k) offsets[s][k] += int32_t(above[s]) * strides[k][0];
    }
  }
};

// N elements that are read and written at once.
template <class T, int N>
struct alignas(N * sizeof(T)) Vector {
  T v[N];
};
template <int bytes>
struct WordOf;
template <>
struct WordOf<1> {
  using type = uint8_t;
};
template <>
struct WordOf<2> {
  using type = uint16_t;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};
template <class T, int N>
using Word = typename WordOf<N * sizeof(T)>::type;

template <int N, class T>
__device__ inline Word<T, N> load_word(const T* p) {
  return *reinterpret_cast<const Word<T, N>*>(p);
}
template <class T, int N>
__device__ inline void store_vector(T* p, const Vector<T, N>& x) {
  *reinterpret_cast<Word<T, N>*>(p) = std::bit_cast<Word<T, N>>(x);
}

// A word that is under way. It starts as nothing, not as zeros, for which instructions would be spent.
template <class T, int N>
struct Held {
  Word<T, N> word;
  __device__ Held() {}
};

inline constexpr int map_threads = 256;

// y = f(x...) for each element of contiguous arrays. A thread takes several vectors, a block's width apart. It reads
// them all before it looks at any, so that the reads are under way together, and before it writes: y may be one of the
// x.
template <int N, int steps, class F, class Y, class... X>
__global__ void __launch_bounds__(map_threads)
    contiguous_kernel(F f, uint32_t count, uint32_t tail, Y* y, const X*... x) {
  [&]<size_t... k>(std::index_sequence<k...>) {
    const uint32_t first = blockIdx.x * (steps * map_threads) + threadIdx.x;
    std::tuple<Held<X, N>...> held[steps];
    SIMT_UNROLL
    for (int s = 0; s < steps; ++s) {
      const uint32_t i = first + s * map_threads;
      if (i < count) ((std::get<k>(held[s]).word = load_word<N>(x + size_t(i) * N)), ...);
    }
    SIMT_UNROLL
    for (int s = 0; s < steps; ++s) {
      const uint32_t i = first + s * map_threads;
      if (i < count) {
        const std::tuple<Vector<X, N>...> operands{std::bit_cast<Vector<X, N>>(std::get<k>(held[s]).word)...};
        Vector<Y, N> result;
        SIMT_UNROLL
        for (int e = 0; e < N; ++e) result.v[e] = f(std::get<k>(operands).v[e]...);
        store_vector(y + size_t(i) * N, result);
      }
    }
    if (blockIdx.x == 0 && threadIdx.x < tail) {  // the elements after the last vector
      const size_t i = size_t(count) * N + threadIdx.x;
      y[i] = f(x[i]...);
    }
  }
  (std::make_index_sequence<sizeof...(X)>());
}

// What a thread read of a view: a vector, or one element for the whole of it.
template <class T, int N>
struct Operand : Held<T, N> {
  using Held<T, N>::word;
  Word<T, 1> one;
  __device__ Operand() {}
  __device__ void load(const T* p, bool same) {
    if (same)
      one = load_word<1>(p);
    else
      word = load_word<N>(p);
  }
  __device__ Vector<T, N> vector(bool same) const {
    Vector<T, N> x = std::bit_cast<Vector<T, N>>(word);
    SIMT_UNROLL
    for (int e = 0; same && e < N; ++e) x.v[e] = std::bit_cast<T>(one);
    return x;
  }
};

// The same for any strides, by vectors of N along the innermost dimension or, with N = 1, by elements.
template <int N, int steps, class F, class Y, class... X>
__global__ void __launch_bounds__(map_threads) strided_kernel(F f, Walk<1 + sizeof...(X)> walk, Y* y, const X*... x) {
  [&]<size_t... k>(std::index_sequence<k...>) {
    uint32_t step[steps];
    int32_t offsets[steps][1 + sizeof...(X)];
    for (int s = 0; s < steps; ++s) step[s] = (blockIdx.x * steps + s) * map_threads + threadIdx.x;
    walk.locate(step, offsets);
    std::tuple<Operand<X, N>...> held[steps];
    SIMT_UNROLL
    for (int s = 0; s < steps; ++s) {
      if (step[s] < walk.count) (std::get<k>(held[s]).load(x + offsets[s][1 + k], N > 1 && walk.same[1 + k]), ...);
    }
    SIMT_UNROLL
    for (int s = 0; s < steps; ++s) {
      if (step[s] < walk.count) {
        const std::tuple<Vector<X, N>...> operands{std::get<k>(held[s]).vector(N > 1 && walk.same[1 + k])...};
        Vector<Y, N> result;
        SIMT_UNROLL
        for (int e = 0; e < N; ++e) result.v[e] = f(std::get<k>(operands).v[e]...);
        store_vector(y + offsets[s][0], result);
      }
    }
  }
  (std::make_index_sequence<sizeof...(X)>());
}

// Whether steps of n elements serve: they start at multiples of their size, and none goes over the end of a row.
template <int views>
bool suits_vectors(const Space<views>& s, int n, const uintptr_t (&addresses)[views], const size_t (&sizes)[views]) {
  const int last = s.ndim - 1;
  bool suits = s.strides[0][last] == 1 && s.shape[last] % n == 0;
  for (int k = 0; k < views; ++k) {
    if (s.strides[k][last] == 0) continue;
    suits &= s.strides[k][last] == 1 && addresses[k] % (n * sizes[k]) == 0;
    for (int d = 0; d < last; ++d) suits &= s.strides[k][d] % n == 0;
  }
  return suits;
}

// Runs y = f(x...): `fast` where elements can be taken by vectors, else `general`, which does the same.
template <class Y, class... X, class Fast, class General, class... Views>
void map(const Fast& fast, const General& general, const View& y, const Views&... x) {
  constexpr int views = 1 + sizeof...(X), N = 16 / int(std::max({sizeof(Y), sizeof(X)...}));
  static_assert(sizeof...(X) == sizeof...(Views));
  if (y.numel() == 0) return;
  in_pieces(collapse<views>({&y, &x...}), [&](const Space<views>& s) {
    [&]<size_t... k>(std::index_sequence<k...>) {
      Y* const to = static_cast<Y*>(y.data) + s.start[0];
      const std::tuple<const X*...> from{static_cast<const X*>(x.data) + s.start[1 + k]...};
      const uintptr_t addresses[] = {uintptr_t(to), uintptr_t(std::get<k>(from))...};
      constexpr size_t sizes[] = {sizeof(Y), sizeof(X)...};
      bool contiguous = s.ndim == 1;
      for (int v = 0; v < views; ++v) contiguous &= s.strides[v][0] == 1 && addresses[v] % (N * sizes[v]) == 0;
      const auto blocks = [](int64_t count, int steps) { return unsigned(div_up(count, steps * map_threads)); };
      if (contiguous) {
        const int64_t count = s.numel() / N, tail = s.numel() % N;
        launch(contiguous_kernel<N, 2, Fast, Y, X...>, std::max(1u, blocks(count, 2)), map_threads, 0, fast, count,
               tail, to, std::get<k>(from)...);
      } else if (suits_vectors<views>(s, N, addresses, sizes)) {
        const Walk<views> walk(s, N);
        launch(strided_kernel<N, 2, Fast, Y, X...>, blocks(walk.count, 2), map_threads, 0, fast, walk, to,
               std::get<k>(from)...);
      } else {
        const Walk<views> walk(s, 1);
        launch(strided_kernel<1, 4, General, Y, X...>, blocks(walk.count, 4), map_threads, 0, general, walk, to,
               std::get<k>(from)...);
      }
    }
    (std::make_index_sequence<sizeof...(X)>());
  });
}
template <class Y, class... X, class F, class... Views>
void map_any(const F& f, const View& y, const Views&... x) {
  map<Y, X...>(f, f, y, x...);
}

}  // namespace gradus::cuda
