// Products in which one factor is thin: 8 rows of a at most, or 8 columns of b, as when a language model writes word by
// word. There is little to compute, and the time goes by in reading the other factor, once, in 16 bytes for a thread.
#include "tensor/kernels/cuda/matmul.h"

namespace gradus::cuda {
namespace {

constexpr int most = 8;  // rows of a thin factor

template <class T>
struct alignas(16) Chunk {
  static constexpr int size = 16 / sizeof(T);
  T v[size];
};
template <class T>
__device__ Chunk<T> chunk_at(const T* from) {
  return *reinterpret_cast<const Chunk<T>*>(from);
}

// A product as both kernels see it: `count` thin rows, each with every one of the wide factor's `outer`.
template <class T>
struct Skinny {
  Product<T> p;
  bool thin_a;  // the thin factor is a, and sums of one thin row are neighbours in c; else b
  GRADUS_DEVICE const Factor<T>& thin() const { return thin_a ? p.a : p.b; }
  GRADUS_DEVICE const Factor<T>& wide() const { return thin_a ? p.b : p.a; }
  GRADUS_DEVICE int count() const { return int(thin_a ? p.m : p.n); }
  GRADUS_DEVICE int64_t outer() const { return thin_a ? p.n : p.m; }

  // A block's part of the depth, in whole chunks.
  __device__ int64_t part(unsigned split) const {
    return split == unsigned(p.splits) ? p.k : p.k / Chunk<T>::size * split / p.splits * Chunk<T>::size;
  }
  // Row i; beyond the last, that one again.
  __device__ const T* thin_row(int i) const {
    return thin().data + blockIdx.z * thin().batch_stride + min(i, count() - 1) * thin().outer_stride();
  }
  // Writes sums[thin row][outer - first], `width` of outer, of which a block has all.
  __device__ void store(const float* sums, int width, int64_t first) const {
    const int quads = thin_a ? width / 4 : (count() + 3) / 4;
    for (int i = threadIdx.x; i < (thin_a ? count() : width) * quads; i += blockDim.x) {
      const int64_t row = i / quads + (thin_a ? 0 : first), column = i % quads * 4 + (thin_a ? first : 0);
      if (row >= p.m) continue;
      Quad<float> q;
      SIMT_UNROLL
      for (int j = 0; j < 4; ++j) {
        const int neighbour = i % quads * 4 + j;
        q.v[j] = thin_a ? sums[i / quads * width + neighbour] : sums[min(neighbour, count() - 1) * width + i / quads];
      }
      p.store(blockIdx.z, blockIdx.y, row, column, q, p.residual_of(blockIdx.z, row, column));
    }
  }
};

// Depth is contiguous in both: a warp takes four of outer, its lanes neighbouring chunks of depth, and adds up.
constexpr int row_warps = 2, rows_of_warp = 4, rows_of_block = row_warps * rows_of_warp;

template <class T, int thin>
__global__ void __launch_bounds__(row_warps* warp_size) multiply_rows(const Skinny<T> s) {
  constexpr int size = Chunk<T>::size;
  SIMT_SHARED(float, all, [thin][rows_of_block]);
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const int64_t first = int64_t(blockIdx.x) * rows_of_block, end = s.part(blockIdx.y + 1);
  const T* rows[rows_of_warp];
  SIMT_UNROLL
  for (int r = 0; r < rows_of_warp; ++r) {
    const int64_t row = first + warp * rows_of_warp + r;
    rows[r] = s.wide().data + blockIdx.z * s.wide().batch_stride +
              (row < s.outer() ? row : s.outer() - 1) * s.wide().stride;
  }
  float sums[thin][rows_of_warp] = {};
  int64_t d = s.part(blockIdx.y) + lane * size;
  for (; d + size <= end; d += warp_size * size) {
    Chunk<T> wide[rows_of_warp];
    SIMT_UNROLL
    for (int r = 0; r < rows_of_warp; ++r) wide[r] = chunk_at(rows[r] + d);
    SIMT_UNROLL
    for (int i = 0; i < thin; ++i) {
      const Chunk<T> factors = chunk_at(s.thin_row(i) + d);
      SIMT_UNROLL
      for (int r = 0; r < rows_of_warp; ++r) {
        SIMT_UNROLL
        for (int j = 0; j < size; ++j) sums[i][r] = fma(widen(factors.v[j]), widen(wide[r].v[j]), sums[i][r]);
      }
    }
  }
  // The one lane whose chunk goes over the end.
  for (; d < end; ++d) {
    SIMT_UNROLL
    for (int i = 0; i < thin; ++i) {
      SIMT_UNROLL
      for (int r = 0; r < rows_of_warp; ++r) sums[i][r] = fma(widen(s.thin_row(i)[d]), widen(rows[r][d]), sums[i][r]);
    }
  }
  SIMT_UNROLL
  for (int i = 0; i < thin; ++i) {
    SIMT_UNROLL
    for (int r = 0; r < rows_of_warp; ++r) {
      for (int step = warp_size / 2; step > 0; step /= 2) sums[i][r] += __shfl_xor_sync(whole_warp, sums[i][r], step);
      if (lane == 0) all[i][warp * rows_of_warp + r] = sums[i][r];
    }
  }
  __syncthreads();
  s.store(&all[0][0], rows_of_block, first);
}

// Outer is contiguous in the wide factor: a lane has a chunk of outer, and warps share the depth.
constexpr int column_warps = 8;

template <class T, int thin>
__global__ void __launch_bounds__(column_warps* warp_size) multiply_columns(const Skinny<T> s) {
  constexpr int size = Chunk<T>::size, width = warp_size * size, at_once = 4;
  SIMT_SHARED(float, all, [column_warps / 2][thin][width]);
  const int lane = threadIdx.x % warp_size, warp = threadIdx.x / warp_size;
  const int64_t first = int64_t(blockIdx.x) * width, end = s.part(blockIdx.y + 1), stride = s.wide().stride;
  const int64_t left = s.outer() - first - lane * size, depth_stride = s.thin().depth_stride();
  const T* wide = s.wide().data + blockIdx.z * s.wide().batch_stride + first + lane * size;
  float sums[thin][size] = {};
  // From depth d on, `depths` by each warp in turn.
  const auto multiply = [&](int64_t d, auto depths) {
    Chunk<T> chunks[depths()] = {};
    SIMT_UNROLL
    for (int i = 0; i < depths(); ++i) {
      const T* from = wide + (d + i * column_warps) * stride;
      if (left >= size) {
        chunks[i] = chunk_at(from);
      } else {
        SIMT_UNROLL
        for (int j = 0; j < size; ++j) {
          if (j < left) chunks[i].v[j] = from[j];
        }
      }
    }
    SIMT_UNROLL
    for (int i = 0; i < depths(); ++i) {
      SIMT_UNROLL
      for (int t = 0; t < thin; ++t) {
        const float factor = widen(s.thin_row(t)[(d + i * column_warps) * depth_stride]);
        SIMT_UNROLL
        for (int j = 0; j < size; ++j) sums[t][j] = fma(factor, widen(chunks[i].v[j]), sums[t][j]);
      }
    }
  };
  int64_t d = s.part(blockIdx.y) + warp;
  for (; d + (at_once - 1) * column_warps < end; d += at_once * column_warps)
    multiply(d, std::integral_constant<int, at_once>());
  for (; d < end; d += column_warps) multiply(d, std::integral_constant<int, 1>());

  // The upper half of the warps hands its sums to the lower, until one has them all.
  const auto each = [&](const auto& f) {
    SIMT_UNROLL
    for (int t = 0; t < thin; ++t) {
      SIMT_UNROLL
      for (int j = 0; j < size; ++j) f(t, lane * size + j, sums[t][j]);
    }
  };
  for (int half = column_warps / 2; half > 0; half /= 2) {
    if (warp >= half && warp < 2 * half) each([&](int t, int o, float& sum) { all[warp - half][t][o] = sum; });
    __syncthreads();
    if (warp < half) each([&](int t, int o, float& sum) { sum += all[warp][t][o]; });
    __syncthreads();
  }
  if (warp == 0) each([&](int t, int o, float& sum) { all[0][t][o] = sum; });
  __syncthreads();
  s.store(&all[0][0][0], width, first);
}

template <class T, int thin>
void start(Skinny<T> s) {
  Product<T>& p = s.p;
  const bool rows = s.wide().depth_contiguous;
  const int64_t blocks = div_up(s.outer(), rows ? rows_of_block : warp_size * Chunk<T>::size);
  // So that all of the device reads; each block enough to make up for writing its sums.
  const int64_t wanted = 2 * device_limits().multiprocessors / (blocks * p.batch), least_depth = rows ? 2048 : 128;
  p.splits = int(std::clamp<int64_t>(std::min(wanted, p.k / least_depth), 1, 64));
  const Scratch<float> partial(p.splits > 1 ? p.splits * p.batch * p.m * p.pitch() : 0);
  if (p.splits > 1) p.partial = partial.data();
  const dim3 grid(unsigned(blocks), unsigned(p.splits), unsigned(p.batch));
  if (rows)
    launch(multiply_rows<T, thin>, grid, row_warps * warp_size, 0, s);
  else
    launch(multiply_columns<T, thin>, grid, column_warps * warp_size, 0, s);
  if (p.splits > 1) start_combine(p);
}

}  // namespace

template <class T>
bool multiply_skinny(const Product<T>& p) {
  const Skinny<T> s{p, p.m <= p.n};
  const int count = int(std::min<int64_t>({p.m, p.n, most + 1}));
  const bool both_by_depth = s.thin().depth_contiguous && s.thin().vectors;
  if (count > most || s.outer() < 64 || p.k < 32 || p.batch > 65535 || !s.wide().vectors ||
      (s.wide().depth_contiguous && !both_by_depth))
    return false;
  if (count == 1)
    start<T, 1>(s);
  else if (count == 2)
    start<T, 2>(s);
  else if (count <= 4)
    start<T, 4>(s);
  else
    start<T, 8>(s);
  return true;
}
template bool multiply_skinny(const Product<float>&);
template bool multiply_skinny(const Product<bf16>&);

}  // namespace gradus::cuda
