// Products of tiles for attention at any size and in any type: 256 threads, each of which holds four rows by four
// columns of a tile of 64 by 64. Operands pass through shared memory in slices.
#pragma once

#include <cmath>

#include "tensor/kernels/cuda/attention.h"

namespace gradus::cuda::tiled {

inline constexpr int tile = 64, tile_threads = 256;
// How many terms of each sum are in shared memory at a time.
template <class C>
inline constexpr int depth = 128 / int(sizeof(C));

template <class T>
struct alignas(sizeof(T) < 4 ? 8 : 16) Quad {
  T v[4];
};

// Where a slice has element k of row (or column) `row`: a line for each k, its fours of rows in an order that depends
// on k, so that neither storing along k nor reading along the rows meets a bank twice.
__device__ __forceinline__ int slot(int k, int row) {
  return k * tile + (((row >> 2) ^ (k >> 2 & 7)) << 2) + (row & 3);
}

// Rows of which four elements are read and written at once where they lie so.
template <class T>
struct QuadRows : HeadRows<T> {
  using C = Compute<std::remove_const_t<T>>;
  bool whole;  // every four of elements is within a row and aligned

  __device__ __forceinline__ QuadRows(const View& x, int64_t batch, int64_t head) : HeadRows<T>(x, batch, head) {
    const auto address = reinterpret_cast<size_t>(this->data) / sizeof(T);
    whole = ((address | size_t(this->stride) | size_t(this->columns)) & 3) == 0;
  }

  // Zeros where there is nothing.
  __device__ __forceinline__ Quad<C> load(int row, int column) const {
    Quad<C> x = {};
    if (row >= this->rows) return x;
    const T* from = (*this)[row] + column;
    if (whole && column < this->columns) {
      const auto four = *reinterpret_cast<const Quad<std::remove_const_t<T>>*>(from);
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e) x.v[e] = C(four.v[e]);
    } else {
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e)
        if (column + e < this->columns) x.v[e] = C(from[e]);
    }
    return x;
  }

  __device__ __forceinline__ void store(int row, int column, const C (&x)[4], C factor) const {
    if (row >= this->rows) return;
    T* to = (*this)[row] + column;
    SIMT_UNROLL
    for (int e = 0; e < 4; ++e)
      if (column + e < this->columns) to[e] = T(x[e] * factor);
  }
};

// Columns `column` and on of 64 rows, as (column, row).
template <class T, class C>
__device__ __forceinline__ void load_across(const QuadRows<T>& x, int row, int column, C* slice) {
  constexpr int fours = depth<C> / 4;
  SIMT_UNROLL
  for (int q = int(threadIdx.x); q < tile * fours; q += tile_threads) {
    const Quad<C> four = x.load(row + q / fours, column + q % fours * 4);
    SIMT_UNROLL
    for (int e = 0; e < 4; ++e) slice[slot(q % fours * 4 + e, q / fours)] = four.v[e];
  }
}

// 64 columns of rows `row` and on, as (row, column).
template <class T, class C>
__device__ __forceinline__ void load_along(const QuadRows<T>& x, int row, int column, C* slice) {
  SIMT_UNROLL
  for (int q = int(threadIdx.x); q < depth<C> * (tile / 4); q += tile_threads)
    *reinterpret_cast<Quad<C>*>(slice + slot(q / 16, q % 16 * 4)) = x.load(row + q / 16, column + q % 16 * 4);
}

// sum[r][c] += left[k][4 y + r] right[k][4 x + c] over the lines of `right`; `left` starts at line `first`.
template <class C>
__device__ __forceinline__ void multiply(const C* left, int first, const C* right, C (&sum)[4][4]) {
  const int x = int(threadIdx.x) % 16 * 4, y = int(threadIdx.x) / 16 * 4;
  SIMT_NO_UNROLL
  for (int start = 0; start < depth<C>; start += 8) {  // all at once would need too many registers
    SIMT_UNROLL
    for (int k = start; k < start + 8; ++k) {
      const Quad<C> a = *reinterpret_cast<const Quad<C>*>(left + slot(first + k, y));
      const Quad<C> b = *reinterpret_cast<const Quad<C>*>(right + slot(k, x));
      SIMT_UNROLL
      for (int r = 0; r < 4; ++r) {
        SIMT_UNROLL
        for (int c = 0; c < 4; ++c) sum[r][c] = std::fma(a.v[r], b.v[c], sum[r][c]);
      }
    }
  }
}

// sum = the products of 64 rows of x with 64 rows of y.
template <class T, class C>
__device__ __forceinline__ void products_of_rows(const QuadRows<T>& x, int x_row, const QuadRows<T>& y, int y_row,
                                                 C* left, C* right, C (&sum)[4][4]) {
  SIMT_UNROLL
  for (int r = 0; r < 4; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < 4; ++c) sum[r][c] = 0;
  }
  SIMT_NO_UNROLL
  for (int column = 0; column < x.columns; column += depth<C>) {
    __syncthreads();  // the slices were read
    load_across(x, x_row, column, left);
    load_across(y, y_row, column, right);
    __syncthreads();
    multiply(left, 0, right, sum);
  }
}

// Puts a tile, of which each thread has four rows by four columns, where `add_weighted` reads it: (column, row).
template <class C>
__device__ __forceinline__ void put_weights(const C (&x)[4][4], C* weights) {
  __syncthreads();  // the tile before was read
  SIMT_UNROLL
  for (int c = 0; c < 4; ++c) {
    const Quad<C> four = {{x[0][c], x[1][c], x[2][c], x[3][c]}};
    *reinterpret_cast<Quad<C>*>(weights + slot(int(threadIdx.x) % 16 * 4 + c, int(threadIdx.x) / 16 * 4)) = four;
  }
}

// sum[group] += weights times the 64 rows of y from `row` on, of which it takes 64 columns for each group.
template <class T, class C, int groups>
__device__ __forceinline__ void add_weighted(const C* weights, const QuadRows<T>& y, int row, int column, C* right,
                                             C (&sum)[groups][4][4]) {
  SIMT_NO_UNROLL
  for (int k = 0; k < tile; k += depth<C>) {
    __syncthreads();  // the slice was read, the weights are there
    SIMT_UNROLL
    for (int group = 0; group < groups; ++group)
      load_along(y, row + k, column + group * tile, right + group * depth<C> * tile);
    __syncthreads();
    SIMT_UNROLL
    for (int group = 0; group < groups; ++group) multiply(weights, k, right + group * depth<C> * tile, sum[group]);
  }
}

// For how many groups of 64 columns of heads with more a block has sums in registers.
template <class C>
inline constexpr int most_groups = sizeof(C) == 8 ? 1 : 2;

// Shared memory that these need: the weights, one slice of the left operand and `groups` of the right one.
template <class C, int groups>
inline constexpr size_t tile_bytes = (tile * tile + (1 + groups) * depth<C> * tile) * sizeof(C);

// How a grid is numbered: slices of the columns of a result first, then tiles of rows, then heads.
struct TileGrid {
  int64_t heads, tiles, slices;
  dim3 blocks() const { return dim3(unsigned(heads * tiles * slices)); }
};

}  // namespace gradus::cuda::tiled
