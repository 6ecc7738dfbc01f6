// What all kernels of a matrix product share: how the factors lie in memory, how c is cut into tiles, the loop that
// multiplies tiles while others are on their way, and what happens to the sums before they are stored.
#pragma once

#include <algorithm>
#include <limits>
#include <span>

#include "tensor/kernels/cuda/precision.h"
#include "tensor/kernels/cuda/scalar.h"

namespace gradus::cuda {

// One of the two factors. To the sums both are alike, (batch, outer, depth): a's outer dimension is m, b's is n, and
// the depth of both is k. Either outer or depth has unit stride.
template <class T>
struct Factor {
  const T* data;
  int64_t batch_stride = 0;
  int64_t stride = 0;            // of the dimension that has not unit stride
  bool depth_contiguous = true;  // which of the two has
  bool vectors = false;          // whether 16 bytes at a time can be read

  GRADUS_DEVICE int64_t outer_stride() const { return depth_contiguous ? stride : 1; }
  GRADUS_DEVICE int64_t depth_stride() const { return depth_contiguous ? 1 : stride; }
};

template <class T>
struct alignas(sizeof(T) < 4 ? 4 * sizeof(T) : 16) Quad {
  T v[4];
};

template <class C>
__device__ C activate(Activation activation, C x) {
  if constexpr (std::is_integral_v<C>) {
    return activation == Activation::none ? x : C(activate(activation, double(x)));
  } else {
    switch (activation) {
      case Activation::relu: return apply<Unary::relu>(x, C(0), C(0));
      case Activation::gelu: return apply<Unary::gelu>(x, C(0), C(0));
      case Activation::gelu_tanh: return apply<Unary::gelu_tanh>(x, C(0), C(0));
      case Activation::none: break;
    }
    return x;
  }
}

// What becomes of the sums: c = activation(alpha sum + residual + bias).
template <class T>
struct Epilogue {
  T* c;
  const T *residual, *bias;
  int64_t batch_stride, row_stride;
  Compute<T> alpha;
  Activation activation;
  bool vectors = false;  // whether four neighbours can be read and written at a time

  // Four neighbours of a row, as far as the n columns reach: what is added to their sums, and the storing of these.
  __device__ Quad<T> residual_of(int64_t batch, int64_t row, int64_t column, int64_t n) const {
    return residual ? load(residual + batch * batch_stride + row * row_stride + column, n - column) : Quad<T>{};
  }
  __device__ void store(int64_t batch, int64_t row, int64_t column, int64_t n, const Quad<Compute<T>>& sums,
                        const Quad<T>& residuals) const {
    const Quad<T> biases = bias ? load(bias + column, n - column) : Quad<T>{};
    Quad<T> y;
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) y.v[i] = finish(sums.v[i], residuals.v[i], biases.v[i]);
    T* to = c + batch * batch_stride + row * row_stride + column;
    if (vectors && column + 4 <= n) {
      *reinterpret_cast<Quad<T>*>(to) = y;
    } else {
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (column + i < n) to[i] = y.v[i];
      }
    }
  }

 private:
  __device__ T finish(Compute<T> sum, T residual_element, T bias_element) const {
    Compute<T> value = alpha * sum;
    if (residual) value += widen(residual_element);
    if (bias) value += widen(bias_element);
    return convert<T>(activate(activation, value));
  }
  __device__ Quad<T> load(const T* from, int64_t left) const {
    if (vectors && left >= 4) return *reinterpret_cast<const Quad<T>*>(from);
    Quad<T> x{};
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (i < left) x.v[i] = from[i];
    }
    return x;
  }
};

template <class T>
struct Product {
  Factor<T> a, b;
  int64_t batch, m, n, k;
  Epilogue<T> epilogue;
  // A c of few tiles would leave most multiprocessors idle: then the depth is cut into `splits` parts, whose sums go to
  // `partial` (split, batch, m, pitch) first. `combine` adds them, in order.
  int splits = 1;
  Compute<T>* partial = nullptr;

  GRADUS_DEVICE int64_t pitch() const { return (n + 3) / 4 * 4; }
  // As the epilogue's; each is to be called only for rows that exist.
  __device__ Quad<T> residual_of(int64_t of, int64_t row, int64_t column) const {
    return partial ? Quad<T>{} : epilogue.residual_of(of, row, column, n);
  }
  __device__ void store(int64_t of, int split, int64_t row, int64_t column, const Quad<Compute<T>>& sums,
                        const Quad<T>& residuals) const {
    if (!partial)
      epilogue.store(of, row, column, n, sums, residuals);
    else if (column < n)
      *reinterpret_cast<Quad<Compute<T>>*>(partial + ((split * batch + of) * m + row) * pitch() + column) = sums;
  }
};

template <class T>
__global__ void combine(const Product<T> p) {
  const int64_t quads = p.pitch() / 4, count = p.batch * p.m * quads;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    Quad<Compute<T>> sums{};
    for (int split = 0; split < p.splits; ++split) {
      const auto part = reinterpret_cast<const Quad<Compute<T>>*>(p.partial)[split * count + i];
      SIMT_UNROLL
      for (int j = 0; j < 4; ++j) sums.v[j] += part.v[j];
    }
    const int64_t row = i / quads % p.m, of = i / quads / p.m, column = i % quads * 4;
    p.epilogue.store(of, row, column, p.n, sums, p.epilogue.residual_of(of, row, column, p.n));
  }
}

template <class T>
void start_combine(const Product<T>& p) {
  const int64_t blocks = std::min<int64_t>(div_up(p.batch * p.m * p.pitch() / 4, 256), 1 << 16);
  launch(combine<T>, unsigned(blocks), 256, 0, p);
}

// Which tile of c a block computes, and from which part of the depth.
struct Place {
  int64_t batch, row, column;  // of the tile's first element
  int split;
};

// Tiles that are computed at the same time should share what they read: blocks go through strips of 16 rows of tiles,
// down each column of a strip. All tiles of one part of one matrix come before the next.
template <class T>
__device__ void find_place(const Product<T>& p, int block_m, int block_n, unsigned block, Place& place) {
  const unsigned tiles_m = unsigned(div_up(p.m, block_m)), tiles_n = unsigned(div_up(p.n, block_n));
  const unsigned tile = block % (tiles_m * tiles_n), matrix = block / (tiles_m * tiles_n);
  constexpr unsigned strip = 16;
  const unsigned first = tile / (strip * tiles_n) * strip, within = tile % (strip * tiles_n);
  const unsigned rows = tiles_m - first < strip ? tiles_m - first : strip;
  place.batch = matrix / unsigned(p.splits);
  place.row = int64_t(first + within % rows) * block_m;
  place.column = int64_t(within / rows) * block_n;
  place.split = int(matrix % unsigned(p.splits));
}

// A block computes a tile of c. `Tile` says how: how it copies a tile of each factor into shared memory, reads
// fragments of them into registers, one step of the depth after the other, and multiplies these.
template <class Tile>
__global__ void __launch_bounds__(Tile::threads, Tile::resident) multiply_tiles(const Product<typename Tile::T> p) {
  using Sum = Compute<typename Tile::T>;
  static_assert(Tile::steps % 2 == 0, "fragments alternate");
  SIMT_DYNAMIC_SHARED(unsigned char, shared);
  SIMT_SHARED(Place, shared_place, [1]);  // not in registers, which are scarce in between
  if (threadIdx.x == 0) find_place(p, Tile::block_m, Tile::block_n, blockIdx.x, shared_place[0]);
  __syncthreads();
  const Place& place = shared_place[0];
  const int all = int(div_up(p.k, Tile::depth));
  const int begin = int(int64_t(all) * place.split / p.splits),
            end = int(int64_t(all) * (place.split + 1) / p.splits);
  const int last_depth = int(p.k - int64_t(all - 1) * Tile::depth);
  Tile tile(p, place, int64_t(begin) * Tile::depth);

  // A ring of stages: one is multiplied, the others are on their way. Copies of tiles beyond the last make zeros.
  unsigned char *from = shared, *to = shared;
  const auto after = [&](unsigned char* stage) {
    return stage == shared + (Tile::stages - 1) * Tile::stage_bytes ? shared : stage + Tile::stage_bytes;
  };
  const auto depth_of = [&](int i) { return i >= end ? 0 : i + 1 < all ? Tile::depth : last_depth; };
  // Groups of copies arrive in order. All but the newest ones have: so the next stage is there, for every thread.
  const auto finish_copy = [&] {
    simt::cp_async_commit();
    to = after(to);
    simt::cp_async_wait<Tile::stages - 2>();
    __syncthreads();
  };
  SIMT_NO_UNROLL
  for (int i = begin; i < begin + Tile::stages - 1; ++i) {
    SIMT_UNROLL
    for (int step = 0; step < Tile::steps; ++step) tile.copy(to, step, depth_of(i));
    finish_copy();
  }
  typename Tile::Fragments fragments[2] = {};
  tile.read(fragments[0], from, 0);
  SIMT_NO_UNROLL
  for (int i = begin; i < end; ++i) {
    const int depth = depth_of(i + Tile::stages - 1);
    SIMT_UNROLL
    for (int step = 0; step < Tile::steps; ++step) {
      tile.copy(to, step, depth);  // to where the tile before was: everyone has read that
      const bool last = step + 1 == Tile::steps;
      if (last) {
        finish_copy();
        from = after(from);
      }
      tile.read(fragments[(step + 1) % 2], from, last ? 0 : step + 1);
      tile.multiply(fragments[step % 2]);
    }
  }
  simt::cp_async_wait<0>();
  __syncthreads();

  // Warps write whole rows, though a thread has sums from all over the tile: 16 rows at a time go through the warp's
  // own piece of shared memory.
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  Sum* slab = reinterpret_cast<Sum*>(shared) + warp * 16 * Tile::slab_pitch;
  constexpr int quads = Tile::warp_n / 4, rows_at_once = warp_size / quads, group = 4;
  const int64_t row = place.row + tile.warp_row() + lane / quads;
  const int64_t column = place.column + tile.warp_column() + lane % quads * 4;
  SIMT_NO_UNROLL
  for (int part = 0; part < Tile::warp_m / 16; ++part) {
    SIMT_UNROLL
    for (int i = 0; i < Tile::warp_m / 16; ++i) {  // registers have no addresses
      if (i == part) tile.write(i, slab);
    }
    __syncwarp();
    SIMT_NO_UNROLL
    for (int first = 0; first < 16; first += group * rows_at_once) {
      Quad<typename Tile::T> residuals[group] = {};  // asked for together, so that they are waited for once
      const auto each = [&](const auto& f) {
        SIMT_UNROLL
        for (int i = 0; i < group; ++i) {
          const int in_slab = first + i * rows_at_once;
          if (row + part * 16 + in_slab < p.m) f(row + part * 16 + in_slab, in_slab + lane / quads, residuals[i]);
        }
      };
      each([&](int64_t r, int, auto& residual) { residual = p.residual_of(place.batch, r, column); });
      each([&](int64_t r, int in_slab, auto& residual) {
        p.store(place.batch, place.split, r, column,
                *reinterpret_cast<const Quad<Sum>*>(slab + in_slab * Tile::slab_pitch + lane % quads * 4), residual);
      });
    }
    __syncwarp();
  }
}

// Microseconds that a block takes, as measured on an H100; what is chosen by them hardly depends on which GPU it is.
struct Cost {
  double alone, shared;  // for a tile's depth: by itself on a multiprocessor; for each of those that share one
  double rest;           // to begin, and to store
};

// One way to cut c into tiles: what the choice depends on, and how to start it.
template <class T>
struct Tiling {
  int block_m, block_n, depth, resident;
  size_t shared_bytes;
  Cost cost;
  void (*start)(const Product<T>& p, unsigned blocks);

  // Of so many blocks, each of so many tiles in depth.
  double microseconds(double blocks, double depths) const {
    const double multiprocessors = device_limits().multiprocessors, at_once = multiprocessors * resident;
    const auto round = [&](double sharing) {
      return depths * std::max(cost.alone, sharing * cost.shared) + cost.rest;
    };
    const double full = std::floor(blocks / at_once), left = blocks - full * at_once;
    return full * round(resident) + (left > 0 ? round(std::ceil(left / multiprocessors)) : 0);
  }
};

template <class Tile>
constexpr Tiling<typename Tile::T> tiling_of(const Cost& cost) {
  using T = typename Tile::T;
  constexpr size_t stages = Tile::stages * Tile::stage_bytes;
  constexpr size_t slabs = Tile::threads / warp_size * 16 * Tile::slab_pitch * sizeof(Compute<T>);
  constexpr size_t shared_bytes = std::max(stages, slabs);
  return {Tile::block_m,
          Tile::block_n,
          Tile::depth,
          Tile::resident,
          shared_bytes,
          cost,
          [](const Product<T>& p, unsigned blocks) {
            launch(multiply_tiles<Tile>, blocks, Tile::threads, shared_bytes, p);
          }};
}

// What force_matmul_tiling asked for; kind -1: nothing.
struct ForcedTiling {
  int kind, splits;
};
ForcedTiling forced_tiling();

template <class T>
struct Plan {
  const Tiling<T>* tiling;
  int splits;  // of the depth
};

// The plan that should take the least time.
template <class T>
Plan<T> plan_for(const Product<T>& p, std::span<const Tiling<T>> tilings) {
  if (const ForcedTiling forced = forced_tiling(); forced.kind >= 0)
    return {&tilings[std::min(size_t(forced.kind), tilings.size() - 1)], forced.splits};
  const double multiprocessors = device_limits().multiprocessors;
  Plan<T> best{nullptr, 1};
  double least = std::numeric_limits<double>::infinity();
  for (const Tiling<T>& t : tilings) {
    if (t.shared_bytes > device_limits().shared_bytes) continue;
    const int64_t depths = std::max<int64_t>(div_up(p.k, t.depth), 1);
    const double tiles = double(div_up(p.m, t.block_m)) * double(div_up(p.n, t.block_n)) * double(p.batch);
    for (int splits = 1; splits <= 128 && splits <= depths; splits += std::max(1, splits / 4)) {
      if (splits > 1 && tiles * splits > 4 * multiprocessors) break;
      double time = t.microseconds(tiles * splits, double(div_up(depths, splits)));
      // Partial sums are written and read, 3 MB in a microsecond, and another kernel is started.
      if (splits > 1) time += double(p.batch * p.m * p.n) * splits * 8 / 3e6 + 4;
      if (time < least) least = time, best = {&t, splits};
    }
  }
  return best;
}

template <class T>
void multiply(Product<T> p, std::span<const Tiling<T>> tilings) {
  const Plan<T> plan = plan_for(p, tilings);
  p.splits = plan.splits;
  const int64_t blocks = div_up(p.m, plan.tiling->block_m) * div_up(p.n, plan.tiling->block_n) * p.splits;
  // A grid has fewer than 2^31 blocks.
  const int64_t most = std::max<int64_t>(1, std::numeric_limits<int>::max() / blocks);
  for (int64_t left = p.batch; left > 0; left -= most) {
    p.batch = std::min(left, most);
    if (p.splits == 1) {
      plan.tiling->start(p, unsigned(blocks * p.batch));
    } else {
      const Scratch<Compute<T>> partial(p.splits * p.batch * p.m * p.pitch());
      p.partial = partial.data();
      plan.tiling->start(p, unsigned(blocks * p.batch));
      start_combine(p);
    }
    p.a.data += p.batch * p.a.batch_stride, p.b.data += p.batch * p.b.batch_stride;
    p.epilogue.c += p.batch * p.epilogue.batch_stride;
    if (p.epilogue.residual) p.epilogue.residual += p.batch * p.epilogue.batch_stride;
  }
}

// By the ordinary arithmetic of T, whatever the strides.
template <class T>
void multiply_simt(const Product<T>& p);
// By tensor cores: bfloat16, or float rounded to TF32. Needs compute capability 8.0.
template <class T>
void multiply_tensor_cores(Product<T> p);
// Where one of the factors has 8 rows or columns at most, and what it takes to read the other is what counts.
// Returns whether it was so.
template <class T>
bool multiply_skinny(const Product<T>& p);

}  // namespace gradus::cuda
