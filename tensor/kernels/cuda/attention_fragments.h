// Tiles of bfloat16 in shared memory and the fragments that tensor cores take from them, for attention.
//
// A warp multiplies with mma.m16n8k16: lane 4 g + t holds, of a sum of 16 rows by 8 columns, columns 2 t and 2 t + 1 of
// rows g and g + 8. Two sums side by side, rounded to bfloat16, are the left operand of a product over their columns,
// register for register: so the weights of attention go from the first product to the second without leaving the lane,
// as in FlashAttention-2 (Dao 2023).
#pragma once

#include "tensor/kernels/cuda/attention.h"

namespace gradus::cuda::fragments {

// Elements from a row of a tile to the next: eight more than it has, so that eights of eight rows in succession lie in
// all banks and every address is one register and a constant.
template <int d>
inline constexpr int pitch = d + 8;
// Where row `row` of a tile has its `chunk`-th eight elements.
template <int d>
__device__ __forceinline__ int place(int row, int chunk) {
  return row * pitch<d> + chunk * 8;
}

// Asks for rows `first` and on; zeros beyond what there is.
template <int d, int rows, int threads>
__device__ __forceinline__ void load_tile(const HeadRows<const bf16>& x, int first, bf16* tile) {
  constexpr int chunks = d / 8, rows_at_once = threads / chunks;
  const int chunk = int(threadIdx.x) % chunks, thread_row = int(threadIdx.x) / chunks;
  const bf16* from = x[first + thread_row] + chunk * 8;
  SIMT_UNROLL
  for (int row = 0; row < rows; row += rows_at_once) {
    const bool inside = first + thread_row + row < x.rows && chunk * 8 < x.columns;
    simt::cp_async16(tile + place<d>(thread_row + row, chunk), inside ? from + row * x.stride : x.data, inside);
  }
}

// Sixteen rows and columns 16 k .. 16 k + 15 of a tile: as a left operand, the columns being what is summed over,
template <int d>
__device__ __forceinline__ void load_left(const bf16* tile, int row, int k, uint32_t (&x)[4]) {
  const int lane = int(threadIdx.x) % warp_size;
  simt::ldmatrix_x4(x, tile + place<d>(row + lane % 16, 2 * k + lane / 16));
}
// as two right operands that give a sum a column for each row, the columns being what is summed over,
template <int d>
__device__ __forceinline__ void load_right(const bf16* tile, int row, int k, uint32_t (&x)[4]) {
  const int lane = int(threadIdx.x) % warp_size;
  simt::ldmatrix_x4(x, tile + place<d>(row + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
}
// and as two right operands with the rows being what is summed over.
template <int d>
__device__ __forceinline__ void load_right_along(const bf16* tile, int row, int k, uint32_t (&x)[4]) {
  const int lane = int(threadIdx.x) % warp_size;
  simt::ldmatrix_x4_trans(x, tile + place<d>(row + lane % 16, 2 * k + lane / 16));
}

// Adds the products of a left operand with two right ones to sums side by side.
__device__ __forceinline__ void multiply(const uint32_t (&left)[4], const uint32_t (&right)[4], float (&first)[4],
                                         float (&second)[4]) {
  const uint32_t b[2][2] = {{right[0], right[1]}, {right[2], right[3]}};
  simt::mma_m16n8k16_bf16(first, left, b[0]);
  simt::mma_m16n8k16_bf16(second, left, b[1]);
}

// Two sums side by side as a left operand.
__device__ __forceinline__ void pack(const float (&first)[4], const float (&second)[4], uint32_t (&left)[4]) {
  left[0] = simt::pack_bf16(first[0], first[1]);
  left[1] = simt::pack_bf16(first[2], first[3]);
  left[2] = simt::pack_bf16(second[0], second[1]);
  left[3] = simt::pack_bf16(second[2], second[3]);
}

// Writes sums of 16 rows by d columns, times a factor for row g and one for row g + 8.
template <int sums>
__device__ __forceinline__ void store(const float (&x)[sums][4], float factor0, float factor1,
                                      const HeadRows<bf16>& to, int row) {
  const int lane = int(threadIdx.x) % warp_size;
  SIMT_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int i = row + lane / 4 + 8 * half;
    const float factor = half ? factor1 : factor0;
    SIMT_UNROLL
    for (int n = 0; n < sums; ++n) {
      const int column = n * 8 + lane % 4 * 2;
      if (i < to.rows && column < to.columns)
        *reinterpret_cast<uint32_t*>(to[i] + column) =
            simt::pack_bf16(x[n][2 * half] * factor, x[n][2 * half + 1] * factor);
    }
  }
}

// Whether tiles can be loaded from there: all eights of elements aligned.
inline bool by_eights(const View& x) {
  return (reinterpret_cast<size_t>(x.data) | size_t(x.strides[0] * 2) | size_t(x.strides[1] * 2) |
          size_t(x.strides[2] * 2) | size_t(x.shape[3] * 2)) %
             16 ==
         0;
}
inline bool fit(const Attention& a) {
  return device_limits().major >= 8 && max(a.q.shape[3], a.v.shape[3]) <= 128 && a.scale > 0 && by_eights(a.q) &&
         by_eights(a.k) && by_eights(a.v) && by_eights(a.output);
}

}  // namespace gradus::cuda::fragments
