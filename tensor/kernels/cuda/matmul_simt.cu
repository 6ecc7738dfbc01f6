// Products by ordinary multiply-adds, one tile for a block and 8 x 8 sums for a thread or fewer: float32, exactly, and
// every other type where nothing faster is made for it.
#include <vector>

#include "tensor/kernels/cuda/matmul.h"

namespace gradus::cuda {
namespace {

struct Shape {
  int warps_m, warps_n;  // a block's warps
  int quads_m, quads_n;  // a thread's sums: 4 quads_m x 4 quads_n
  int depth, stages;     // of a tile; how many tiles of each factor are in shared memory
  int resident;          // blocks on a multiprocessor, which bounds the registers of each
};

struct Start {  // where in a factor's tile a thread begins
  int outer, depth;
};

// Copies tiles of one factor to shared memory, as (depth, outer) whichever way they lie in global memory: the sums of a
// step then have their factors side by side. Asynchronously where elements are as large as the smallest such copy.
template <class T, int outer, int depth, int threads>
class TileCopy {
 public:
  // Four more, so that eight neighbours in depth, each of four neighbours in outer, fall into 32 different banks.
  static constexpr int pitch = outer + 4;

  __device__ TileCopy(const Factor<T>& f, int64_t batch, int64_t outer_size, int64_t first_outer, int64_t first_depth)
      : stride_(f.stride), depth_contiguous_(f.depth_contiguous), vectors_(f.vectors && sizeof(T) >= 4) {
    const Start s = depth_contiguous_ ? by_depth() : vectors_ ? by_vectors() : by_elements();
    outer_left_ = int(outer_size - first_outer < outer ? outer_size - first_outer : outer);
    from_ = f.data + batch * f.batch_stride + (first_outer + s.outer) * f.outer_stride() +
            (first_depth + s.depth) * f.depth_stride();
  }

  // The next tile, of which `left` in depth exist.
  __device__ void operator()(T* to, int left) {
    if (outer_left_ == outer && left == depth)
      copy<true>(to, left);
    else
      copy<false>(to, left);
    from_ += depth_contiguous_ ? depth : depth * stride_;
  }

 private:
  static constexpr int vector = sizeof(T) < 4 ? 1 : 16 / sizeof(T);  // elements in 16 bytes
  static constexpr int row_vectors = outer / vector;
  static_assert(threads % 8 == 0 && threads % row_vectors == 0 && threads % outer == 0);

  // A warp reads four rows of eight neighbours: of float, whole sectors of 32 bytes.
  static __device__ Start by_depth() { return {int(threadIdx.x) / 8, int(threadIdx.x) % 8}; }
  static __device__ Start by_vectors() {
    return {int(threadIdx.x) % row_vectors * vector, int(threadIdx.x) / row_vectors};
  }
  static __device__ Start by_elements() { return {int(threadIdx.x) % outer, int(threadIdx.x) / outer}; }

  template <bool whole>
  __device__ void copy(T* to, int left) const {
    const T* from = from_;
    if (depth_contiguous_) {
      const Start s = by_depth();
      SIMT_UNROLL
      for (int o = 0; o < outer; o += threads / 8) {
        SIMT_UNROLL
        for (int d = 0; d < depth; d += 8)
          copy_element(to + (s.depth + d) * pitch + s.outer + o, from + d,
                       whole || (s.outer + o < outer_left_ && s.depth + d < left));
        from += threads / 8 * stride_;
      }
    } else if (vectors_) {
      const Start s = by_vectors();
      const int in_row = whole ? vector : max(0, min(vector, outer_left_ - s.outer));
      SIMT_UNROLL
      for (int d = 0; d < depth; d += threads / row_vectors) {
        if constexpr (vector > 1)
          simt::cp_async<16>(to + (s.depth + d) * pitch + s.outer, from,
                             whole || s.depth + d < left ? in_row * int(sizeof(T)) : 0);
        from += threads / row_vectors * stride_;
      }
    } else {
      const Start s = by_elements();
      SIMT_UNROLL
      for (int d = 0; d < depth; d += threads / outer) {
        copy_element(to + (s.depth + d) * pitch + s.outer, from,
                     whole || (s.outer < outer_left_ && s.depth + d < left));
        from += threads / outer * stride_;
      }
    }
  }
  static __device__ void copy_element(T* to, const T* from, bool exists) {
    if constexpr (sizeof(T) >= 4)
      simt::cp_async<sizeof(T)>(to, from, exists ? sizeof(T) : 0);
    else
      *to = exists ? *from : T(0);
  }

  const T* from_;  // this thread's first element of the next tile
  int64_t stride_;
  int outer_left_;
  bool depth_contiguous_, vectors_;
};

template <class T_, Shape shape>
class SimtTile {
 public:
  using T = T_;
  using Sum = Compute<T>;
  static constexpr int threads = shape.warps_m * shape.warps_n * warp_size, resident = shape.resident;
  static constexpr int warp_m = 16 * shape.quads_m, warp_n = 32 * shape.quads_n;
  static constexpr int block_m = shape.warps_m * warp_m, block_n = shape.warps_n * warp_n;
  static constexpr int depth = shape.depth, steps = depth, stages = shape.stages;
  using CopyA = TileCopy<T, block_m, depth, threads>;
  using CopyB = TileCopy<T, block_n, depth, threads>;
  static constexpr int a_elements = depth * CopyA::pitch;
  static constexpr int stage_bytes = int(sizeof(T)) * depth * (CopyA::pitch + CopyB::pitch);
  static constexpr int slab_pitch = warp_n + 4;

  struct Fragments {
    Quad<T> a[shape.quads_m], b[shape.quads_n];
  };

  __device__ SimtTile(const Product<T>& p, const Place& place, int64_t first_depth)
      : copy_a_(p.a, place.batch, p.m, place.row, first_depth),
        copy_b_(p.b, place.batch, p.n, place.column, first_depth) {}

  __device__ void copy(unsigned char* stage, int step, int left) {
    if (step > 0) return;
    copy_a_(reinterpret_cast<T*>(stage), left);
    copy_b_(reinterpret_cast<T*>(stage) + a_elements, left);
  }
  __device__ void read(Fragments& f, const unsigned char* stage, int step) const {
    const T* a = reinterpret_cast<const T*>(stage) + step * CopyA::pitch + warp_row() + lane_row() * 4;
    const T* b =
        reinterpret_cast<const T*>(stage) + a_elements + step * CopyB::pitch + warp_column() + lane_column() * 4;
    SIMT_UNROLL
    for (int i = 0; i < shape.quads_m; ++i) f.a[i] = *reinterpret_cast<const Quad<T>*>(a + i * 16);
    SIMT_UNROLL
    for (int i = 0; i < shape.quads_n; ++i) f.b[i] = *reinterpret_cast<const Quad<T>*>(b + i * 32);
  }
  __device__ void multiply(const Fragments& f) {
    SIMT_UNROLL
    for (int i = 0; i < 4 * shape.quads_m; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < 4 * shape.quads_n; ++j)
        sums_[i][j] = fma(widen(f.a[i / 4].v[i % 4]), widen(f.b[j / 4].v[j % 4]), sums_[i][j]);
    }
  }
  // The sums of rows 16 part .. 16 part + 15 of the warp's.
  __device__ void write(int part, Sum* slab) const {
    SIMT_UNROLL
    for (int i = 0; i < 4; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < shape.quads_n; ++j) {
        const Sum* sums = sums_[part * 4 + i] + j * 4;
        *reinterpret_cast<Quad<Sum>*>(slab + (lane_row() * 4 + i) * slab_pitch + j * 32 + lane_column() * 4) = {
            sums[0], sums[1], sums[2], sums[3]};
      }
    }
  }
  static __device__ int warp_row() { return threadIdx.x / warp_size / shape.warps_n * warp_m; }
  static __device__ int warp_column() { return threadIdx.x / warp_size % shape.warps_n * warp_n; }

 private:
  // A warp's threads are 4 x 8. Of any 16 lanes in a row, pairs read the same 16 bytes of b, and pairs of pairs of a:
  // half a warp is then served at once, in spite of 16 bytes each.
  static __device__ int lane_row() { return threadIdx.x % 32 / 16 * 2 + threadIdx.x % 2; }
  static __device__ int lane_column() { return threadIdx.x % 16 / 2; }

  CopyA copy_a_;
  CopyB copy_b_;
  Sum sums_[4 * shape.quads_m][4 * shape.quads_n] = {};
};

// A thread of the first kind reads 16 factors for 64 multiply-adds, of the second 12 for 32. (8 x 16 sums for a thread,
// 24 factors for 128, are 3% slower on an H100.)
constexpr Shape large{4, 2, 2, 2, 16, 3, 2}, small{2, 2, 2, 1, 16, 3, 4}, wide{2, 2, 2, 1, 16, 3, 2};

template <class T>
std::vector<Tiling<T>> tilings() {
  if constexpr (std::is_same_v<T, float>)
    return {tiling_of<SimtTile<T, large>>({1.9, 1.46, 4.4}), tiling_of<SimtTile<T, small>>({0.74, 0.41, 2.8})};
  else
    return {tiling_of<SimtTile<T, wide>>({1, 1, 1})};
}

}  // namespace

template <class T>
void multiply_simt(const Product<T>& p) {
  static const std::vector<Tiling<T>> choice = tilings<T>();
  multiply<T>(p, choice);
}
template void multiply_simt(const Product<float>&);
template void multiply_simt(const Product<double>&);
template void multiply_simt(const Product<int64_t>&);
template void multiply_simt(const Product<uint8_t>&);
template void multiply_simt(const Product<bf16>&);

}  // namespace gradus::cuda
