// Products by tensor cores: bfloat16, and float rounded to TF32; sums are float. A warp multiplies 16 x 16 numbers of
// a by 16 x 8 of b (TF32: 16 x 8 by 8 x 8) with one instruction, mma.sync, whose operands are spread over its 32
// lanes.
#include <vector>

#include "tensor/kernels/cuda/matmul.h"

namespace gradus::cuda {
namespace {

constexpr int tile_steps = 4;  // of 32 bytes of depth

struct Shape {
  int warps_m, warps_n;  // a block's warps
  int warp_m, warp_n;    // a warp's part of the tile
  int stages, resident;  // tiles of each factor in shared memory; blocks on a multiprocessor
};

// To 10 bits of mantissa, ties away from zero; tensor cores do not look at the others. NaN stays NaN.
__device__ uint32_t to_tf32(uint32_t bits) {
  const float x = __uint_as_float(bits);
  return x == x ? bits + 0x1000 : bits;
}

// Tiles of one factor in shared memory, in rows as in global memory, of chunks of 16 bytes. Fragments are read from
// eight rows at a time, one chunk of each; all rows beginning in the same bank, chunks change places within a row,
// differently in each of eight neighbouring rows.
template <class T, int outer, int depth, bool depth_contiguous, int threads>
class TensorFactor {
  static constexpr int chunk_elements = 16 / sizeof(T);
  static constexpr int rows = depth_contiguous ? outer : depth, columns = depth_contiguous ? depth : outer;
  static constexpr int chunks = columns / chunk_elements;  // of a row
  static_assert(chunks % 8 == 0 && threads % (8 * chunks) == 0);

 public:
  static constexpr int bytes = outer * depth * int(sizeof(T));

  __device__ TensorFactor(const Factor<T>& f, int64_t batch, int64_t outer_size, int64_t first_outer,
                          int64_t first_depth)
      : rows_step_(threads / chunks * f.stride), place_(place(row(), chunk())) {
    outer_left_ = int(outer_size - first_outer < outer ? outer_size - first_outer : outer);
    from_ = f.data + batch * f.batch_stride + first_outer * f.outer_stride() + first_depth * f.depth_stride() +
            row() * f.stride + chunk() * chunk_elements;
  }

  // A part of the next tile for each step. Of the tile `left` in depth exist.
  __device__ void copy(unsigned char* to, int step, int left) {
    constexpr int rows_at_once = threads / chunks, in_step = (rows / rows_at_once + tile_steps - 1) / tile_steps;
    const int rows_left = depth_contiguous ? outer_left_ : left;
    const int columns_left = (depth_contiguous ? left : outer_left_) - chunk() * chunk_elements;
    const int in_row = max(0, min(columns_left, chunk_elements)) * int(sizeof(T));
    SIMT_UNROLL
    for (int i = step * in_step; i < (step + 1) * in_step && i * rows_at_once < rows; ++i) {
      const int at = i * rows_at_once;
      simt::cp_async<16>(to + place_ + at * chunks * 16, from_, row() + at < rows_left ? in_row : 0);
      from_ += rows_step_;
    }
    if (depth_contiguous && step + 1 == tile_steps) from_ += depth - rows / rows_at_once * rows_step_;
  }

  // 16 of outer by 32 bytes of depth, as four matrices of 8 rows by 16 bytes. a wants those of one depth next to each
  // other (its registers 0 and 1), b those of one outer (each two are an operand), as the PTX ISA draws them under
  // mma.m16n8k16 and m16n8k8.
  template <bool is_b>
  static __device__ void read(uint32_t (&r)[4], const unsigned char* tile, int first, int step) {
    const int lane = threadIdx.x % warp_size;
    if constexpr (depth_contiguous || sizeof(T) == 2) {
      // Lanes 8 i .. 8 i + 7 say where the rows of matrix i are.
      const int in_matrix = lane % 8, bit0 = lane / 8 % 2, bit1 = lane / 16;
      const int upper_outer = is_b ? bit1 : bit0, upper_depth = is_b ? bit0 : bit1;
      if constexpr (depth_contiguous)
        simt::ldmatrix_x4(r, tile + place(first + upper_outer * 8 + in_matrix, step * 2 + upper_depth));
      else
        simt::ldmatrix_x4_trans(
            r, tile + place(step * 16 + upper_depth * 8 + in_matrix, first / chunk_elements + upper_outer));
    } else {  // no instruction transposes words of 32 bits
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int o = first + lane / 4 + (is_b ? i / 2 : i % 2) * 8,
                  d = step * 8 + lane % 4 + (is_b ? i % 2 : i / 2) * 4;
        r[i] = *reinterpret_cast<const uint32_t*>(tile + place(d, o / chunk_elements) + o % chunk_elements * 4);
      }
    }
    if constexpr (sizeof(T) == 4) {
      SIMT_UNROLL
      for (int i = 0; i < 4; ++i) r[i] = to_tf32(r[i]);
    }
  }

 private:
  static __device__ int row() { return threadIdx.x / chunks; }  // of this thread's first chunk
  static __device__ int chunk() { return threadIdx.x % chunks; }
  static __device__ int place(int row, int chunk) {
    // Words read without ldmatrix come from four rows and two chunks of each at a time.
    const int swap = depth_contiguous || sizeof(T) == 2 ? row % 8 : row % 4 * 2;
    return (row * chunks + (chunk ^ swap)) * 16;
  }

  const T* from_;  // this thread's next chunk
  int64_t rows_step_;
  int place_, outer_left_;
};

template <class T_, Shape shape, bool a_depth_contiguous, bool b_depth_contiguous>
class TensorTile {
 public:
  using T = T_;
  static constexpr int threads = shape.warps_m * shape.warps_n * warp_size, resident = shape.resident;
  static constexpr int warp_m = shape.warp_m, warp_n = shape.warp_n;
  static constexpr int block_m = shape.warps_m * warp_m, block_n = shape.warps_n * warp_n;
  static constexpr int depth = 128 / sizeof(T), steps = tile_steps, stages = shape.stages;
  using A = TensorFactor<T, block_m, depth, a_depth_contiguous, threads>;
  using B = TensorFactor<T, block_n, depth, b_depth_contiguous, threads>;
  static constexpr int stage_bytes = A::bytes + B::bytes;
  static constexpr int slab_pitch =
      warp_n + 8;  // so that what half a warp writes to it at once is in different banks

  struct Fragments {
    uint32_t a[warp_m / 16][4], b[warp_n / 16][4];
  };

  __device__ TensorTile(const Product<T>& p, const Place& place, int64_t first_depth)
      : a_(p.a, place.batch, p.m, place.row, first_depth), b_(p.b, place.batch, p.n, place.column, first_depth) {}

  __device__ void copy(unsigned char* stage, int step, int left) {
    a_.copy(stage, step, left);
    b_.copy(stage + A::bytes, step, left);
  }
  __device__ void read(Fragments& f, const unsigned char* stage, int step) const {
    SIMT_UNROLL
    for (int i = 0; i < warp_m / 16; ++i) A::template read<false>(f.a[i], stage, warp_row() + i * 16, step);
    SIMT_UNROLL
    for (int i = 0; i < warp_n / 16; ++i)
      B::template read<true>(f.b[i], stage + A::bytes, warp_column() + i * 16, step);
  }
  __device__ void multiply(const Fragments& f) {
    SIMT_UNROLL
    for (int i = 0; i < warp_m / 16; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < warp_n / 8; ++j) {
        const uint32_t b[2] = {f.b[j / 2][j % 2 * 2], f.b[j / 2][j % 2 * 2 + 1]};
        if constexpr (sizeof(T) == 2)
          simt::mma_m16n8k16_bf16(sums_[i][j], f.a[i], b);
        else
          simt::mma_m16n8k8_tf32(sums_[i][j], f.a[i], b);
      }
    }
  }
  // The sums of rows 16 part .. 16 part + 15 of the warp's. Of each 16 x 8, a lane has two neighbours in row lane / 4
  // and two in the eighth row below.
  __device__ void write(int part, float* slab) const {
    const int lane = threadIdx.x % warp_size;
    SIMT_UNROLL
    for (int j = 0; j < warp_n / 8; ++j) {
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half)
        *reinterpret_cast<float2*>(slab + (lane / 4 + half * 8) * slab_pitch + j * 8 + lane % 4 * 2) =
            make_float2(sums_[part][j][half * 2], sums_[part][j][half * 2 + 1]);
    }
  }
  static __device__ int warp_row() { return threadIdx.x / warp_size / shape.warps_n * warp_m; }
  static __device__ int warp_column() { return threadIdx.x / warp_size % shape.warps_n * warp_n; }

 private:
  A a_;
  B b_;
  float sums_[warp_m / 16][warp_n / 8][4] = {};
};

// A step reads (64 + 64) x 32 bytes of shared memory for 32 instructions of a warp that has 64 x 64 sums, and the
// larger the block's tile, the less of global memory (which is the second cache, mostly). TF32 needs registers for
// rounding.
constexpr Shape large{2, 4, 64, 64, 3, 1}, medium{2, 2, 64, 64, 3, 2}, medium_float{2, 4, 64, 32, 3, 1},
    small{2, 2, 32, 32, 4, 3};

template <class T, bool a, bool b>
std::vector<Tiling<T>> tilings() {
  if constexpr (sizeof(T) == 2)
    return {tiling_of<TensorTile<T, large, a, b>>({1.3, 1.3, 10}),
            tiling_of<TensorTile<T, medium, a, b>>({0.94, 0.7, 10}),
            tiling_of<TensorTile<T, small, a, b>>({0.72, 0.27, 2.4})};
  else
    return {tiling_of<TensorTile<T, medium_float, a, b>>({1, 1, 8}),  // these were not measured
            tiling_of<TensorTile<T, small, a, b>>({0.72, 0.3, 2.4})};
}

template <class T, bool a, bool b>
void start(const Product<T>& p) {
  static const std::vector<Tiling<T>> choice = tilings<T, a, b>();
  multiply<T>(p, choice);
}

// Rows begin at multiples of 16 bytes in `to`, whose pitch is that of (rows, columns) rounded up.
template <class T>
__global__ void realign(const T* from, int64_t batch_stride, int64_t stride, int64_t rows, int64_t columns,
                        int64_t count, T* to, int64_t pitch) {
  const int64_t step = int64_t(gridDim.x) * blockDim.y;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.y + threadIdx.y; i < count * rows; i += step) {
    const T* row = from + i / rows * batch_stride + i % rows * stride;
    for (int64_t j = threadIdx.x; j < columns; j += warp_size) to[i * pitch + j] = row[j];
  }
}

// A factor whose rows can be read 16 bytes at a time: itself or a copy, which costs little beside the product.
// `outer` is its size in that dimension.
template <class T>
class Aligned {
 public:
  Aligned(Factor<T>& f, int64_t batch, int64_t outer, int64_t depth)
      : count_(f.batch_stride == 0 ? 1 : batch),
        rows_(f.depth_contiguous ? outer : depth),
        columns_(f.depth_contiguous ? depth : outer),
        pitch_((columns_ + chunk - 1) / chunk * chunk),
        copy_(f.vectors ? 0 : count_ * rows_ * pitch_) {
    if (f.vectors) return;
    const int64_t blocks = std::min<int64_t>(div_up(count_ * rows_, 8), 1 << 16);
    launch(realign<T>, unsigned(blocks), dim3(warp_size, 8), 0, f.data, f.batch_stride, f.stride, rows_, columns_,
           count_, copy_.data(), pitch_);
    f = {copy_.data(), count_ > 1 ? rows_ * pitch_ : 0, pitch_, f.depth_contiguous, true};
  }

 private:
  static constexpr int64_t chunk = 16 / sizeof(T);
  int64_t count_, rows_, columns_, pitch_;
  Scratch<T> copy_;
};

}  // namespace

template <class T>
void multiply_tensor_cores(Product<T> p) {
  const Aligned<T> a(p.a, p.batch, p.m, p.k), b(p.b, p.batch, p.n, p.k);
  if (p.a.depth_contiguous)
    p.b.depth_contiguous ? start<T, true, true>(p) : start<T, true, false>(p);
  else
    p.b.depth_contiguous ? start<T, false, true>(p) : start<T, false, false>(p);
}
template void multiply_tensor_cores(Product<bf16>);
template void multiply_tensor_cores(Product<float>);

}  // namespace gradus::cuda
