// Element-wise kernels that move or make elements: where, fill, copy, cast, arange and triangle. What only moves them
// knows them by their size.
#include "tensor/kernels/cuda/scalar.h"
#include "tensor/kernels/cuda/strided.h"

namespace gradus::cuda {
namespace {

// --- transposition -------------------------------------------------------------------------------------------------

// A block's tile: `line` words of each of `size` rows of x.
template <class T, int P>
struct Tile {
  static constexpr int line = 32, size = line * P, warps = P == 1 ? 4 : 8;
  // x(i, j) is at i + j x_step, y(i, j) at i y_step + j, for i < rows and j < columns.
  int32_t rows, columns, x_step, y_step;
  // Where the tile of each block starts, as offsets in y and in x, and as i and j.
  Walk<4> starts;
};

// y = x transposed. Elements below 4 bytes are read and written P at a time, as words of 4 bytes; in between a tile
// lies in shared memory, whose rows are a word longer than there are banks.
template <class T, int P>
__global__ void __launch_bounds__(Tile<T, P>::warps* warp_size) transpose_kernel(Tile<T, P> tile, const T* x, T* y) {
  constexpr int line = tile.line, size = tile.size, warps = tile.warps, across = line / P;
  using Elements = Vector<T, P>;
  SIMT_SHARED(Elements, held, [size][line + 1]);
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  int32_t start[1][4];
  tile.starts.locate({blockIdx.x}, start);
  const int rows = tile.rows - start[0][2], columns = tile.columns - start[0][3];
  x += start[0][1];
  y += start[0][0];
  SIMT_UNROLL
  for (int j = warp; j < size; j += warps) {
    if (lane * P < rows && j < columns)
      held[j][lane] = std::bit_cast<Elements>(load_word<P>(x + lane * P + j * tile.x_step));
  }
  __syncthreads();
  // A warp writes P rows of y, which lie in P neighbouring words of each row of the tile: no two lanes use one bank.
  const int group = lane / across, member = lane % across;
  SIMT_UNROLL
  for (int unit = warp; unit < size; unit += warps) {
    const int word = unit / (P * P) * P + group, place = unit % P, i = word * P + place;
    const int j = (unit / P % P * across + member) * P;
    if (i < rows && j < columns) {
      Elements result;
      SIMT_UNROLL
      for (int e = 0; e < P; ++e) result.v[e] = held[j + e][word].v[place];
      store_vector(y + i * tile.y_step + j, result);
    }
  }
}

template <class T, int P>
void transpose(const Space<2>& s, int other, const T* x, T* y) {
  using Tiles = Tile<T, P>;
  const int last = s.ndim - 1;
  Space<4> blocks;
  const auto add = [&blocks](int64_t count, int64_t y_stride, int64_t x_stride, int64_t i_step, int64_t j_step) {
    const int d = blocks.ndim++;
    const int64_t strides[] = {y_stride, x_stride, i_step, j_step};
    blocks.shape[d] = count;
    for (int k = 0; k < 4; ++k) blocks.strides[k][d] = strides[k];
  };
  for (int d = 0; d < last; ++d) {
    if (d != other) add(s.shape[d], s.strides[0][d], s.strides[1][d], 0, 0);
  }
  const int64_t x_step = s.strides[1][last], y_step = s.strides[0][other];
  add(div_up(s.shape[other], Tiles::size), Tiles::size * y_step, Tiles::size, Tiles::size, 0);
  add(div_up(s.shape[last], Tiles::size), Tiles::size, Tiles::size * x_step, 0, Tiles::size);
  const Tiles tile{int32_t(s.shape[other]), int32_t(s.shape[last]), int32_t(x_step), int32_t(y_step),
                   Walk<4>(blocks, 1)};
  launch(transpose_kernel<T, P>, tile.starts.count, Tiles::warps * warp_size, 0, tile, x, y);
}

// --- copies --------------------------------------------------------------------------------------------------------

struct Same {
  template <class T>
  __device__ T operator()(T x) const {
    return x;
  }
};

template <class T>
void copy(const View& x, const View& y) {
  if (y.numel() == 0) return;
  // Below this many rows or columns tiles stand empty, and what is read apart is neighbours of what was read before.
  constexpr int64_t few = 16;
  constexpr int P = sizeof(T) < 4 ? 4 / sizeof(T) : 1;
  const Space<2> whole = collapse<2>({&y, &x});
  const int last = whole.ndim - 1;
  int other = last;  // the dimension along which x's elements are neighbours
  for (int d = 0; d <= last; ++d) {
    if (whole.strides[1][d] == 1 && whole.shape[d] > 1) other = d;
  }
  const bool transposed = other != last && whole.strides[0][last] == 1 && whole.strides[1][last] != 0 &&
                          whole.shape[other] >= few && whole.shape[last] >= few;
  if (!transposed) return map_any<T, T>(Same{}, y, x);
  in_pieces(whole, [&](const Space<2>& s) {
    const T* from = static_cast<const T*>(x.data) + s.start[1];
    T* to = static_cast<T*>(y.data) + s.start[0];
    bool words = uintptr_t(from) % (P * sizeof(T)) == 0 && uintptr_t(to) % (P * sizeof(T)) == 0 &&
                 s.shape[other] % P == 0 && s.shape[last] % P == 0;
    for (int d = 0; d <= last; ++d) {
      words &= (d == other || s.strides[1][d] % P == 0) && (d == last || s.strides[0][d] % P == 0);
    }
    words ? transpose<T, P>(s, other, from, to) : transpose<T, 1>(s, other, from, to);
  });
}

struct Either {
  template <class T>
  __device__ T operator()(bool condition, T a, T b) const {
    return condition ? a : b;
  }
};

template <class T>
void where(const View& condition, const View& a, const View& b, const View& y) {
  map_any<T, bool, T, T>(Either{}, y, condition, a, b);
}

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

template <class T>
void fill(const View& y, double value) {
  using Bits = Word<T, 1>;
  map_any<Bits>(Constant<Bits>{std::bit_cast<Bits>(convert<T>(value))}, y);
}

template <class From, class To>
struct Cast {
  __device__ To operator()(From x) const {
    if constexpr (sizeof(From) == 1)
      return convert<To>(int(x));
    else
      return convert<To>(widen(x));
  }
};

template <class From, class To>
void cast_to(const View& x, const View& y) {
  if constexpr (std::is_same_v<From, To>)
    copy<Word<From, 1>>(x, y);
  else
    map_any<To, From>(Cast<From, To>{}, y, x);
}

template <class T>
void cast(const View& x, DType to, const View& y) {
  switch (to) {
    case DType::float32: return cast_to<T, float>(x, y);
    case DType::float64: return cast_to<T, double>(x, y);
    case DType::int64: return cast_to<T, int64_t>(x, y);
    case DType::boolean: return cast_to<T, bool>(x, y);
    case DType::uint8: return cast_to<T, uint8_t>(x, y);
    case DType::bfloat16: return cast_to<T, bf16>(x, y);
  }
}

// --- what is made of the index -------------------------------------------------------------------------------------

template <class T, class V>
__global__ void __launch_bounds__(map_threads) arange_kernel(T* y, int64_t n, V start, V step) {
  const int64_t i = int64_t(blockIdx.x) * map_threads + threadIdx.x;
  if (i < n) y[i] = convert<T>(start + V(i) * step);
}

template <class T>
void arange(void* y, int64_t n, double start, double step) {
  using V = std::conditional_t<std::is_integral_v<T>, int64_t, double>;
  launch(arange_kernel<T, V>, unsigned(div_up(n, map_threads)), map_threads, 0, static_cast<T*>(y), n,
         convert<V>(start), convert<V>(step));
}

// A warp to a row.
template <class T>
__global__ void __launch_bounds__(map_threads)
    triangle_kernel(View x, View y, int64_t rows, int64_t diagonal, bool upper) {
  const int last = x.ndim - 1, lane = threadIdx.x % warp_size;
  int64_t index = int64_t(blockIdx.x) * (map_threads / warp_size) + threadIdx.x / warp_size;
  if (index >= rows) return;
  const int64_t row = index % x.shape[last - 1];
  const T* from = static_cast<const T*>(x.data);
  T* to = static_cast<T*>(y.data);
  for (int d = last - 1; d >= 0; --d) {
    from += index % x.shape[d] * x.strides[d];
    to += index % x.shape[d] * y.strides[d];
    index /= x.shape[d];
  }
  for (int64_t column = lane; column < x.shape[last]; column += warp_size) {
    const bool keep = upper ? column - row >= diagonal : column - row <= diagonal;
    to[column * y.strides[last]] = keep ? from[column * x.strides[last]] : T{};
  }
}

template <class T>
void triangle(const View& x, const View& y, int64_t diagonal, bool upper) {
  if (x.numel() == 0) return;
  const int64_t rows = x.numel() / x.shape[x.ndim - 1];
  launch(triangle_kernel<T>, unsigned(div_up(rows, map_threads / warp_size)), map_threads, 0, x, y, rows, diagonal,
         upper);
}

template <class T>
void fill_for(KernelTable& table) {
  table.where = where<Word<T, 1>>;
  table.fill = fill<T>;
  table.copy = copy<Word<T, 1>>;
  table.cast = cast<T>;
  if constexpr (!std::is_same_v<T, bool>) table.arange = arange<T>;
  table.triangle = triangle<Word<T, 1>>;
}

}  // namespace

void fill_copies(KernelTable& table, DType dtype) {
  switch (dtype) {
    case DType::float32: return fill_for<float>(table);
    case DType::float64: return fill_for<double>(table);
    case DType::int64: return fill_for<int64_t>(table);
    case DType::boolean: return fill_for<bool>(table);
    case DType::uint8: return fill_for<uint8_t>(table);
    case DType::bfloat16: return fill_for<bf16>(table);
  }
}

}  // namespace gradus::cuda
