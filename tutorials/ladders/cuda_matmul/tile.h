// What rungs 5 and 6 share: a block of 256 threads has a tile of 128 x 128 of C, and a thread 8 x 8 of it, in four
// pieces of 4 x 4: what it needs of a row of A's or B's tile is 2 x 4 neighbours.
#pragma once

#include "tensor/kernels/cuda/simt.h"

namespace gradus::cuda_ladder {

constexpr int tile = 128, depth = 8, threads = 256;
// Of rows of the tiles (depth, 128), both of which have depth first. Four more floats, so that the 8 of A's depth that
// are written side by side, 4 rows each, fall into 32 different banks.
constexpr int pitch = tile + 4;

inline __device__ int thread_row() { return threadIdx.x / 16 * 4; }
inline __device__ int thread_column() { return threadIdx.x % 16 * 4; }

//! [multiply]
inline __device__ void multiply_tile(const float* a_tile, const float* b_tile, float (&sums)[8][8]) {
  SIMT_UNROLL
  for (int p = 0; p < depth; ++p) {
    float of_a[8], of_b[8];
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      *reinterpret_cast<float4*>(of_a + half * 4) =
          *reinterpret_cast<const float4*>(a_tile + p * pitch + half * 64 + thread_row());
      *reinterpret_cast<float4*>(of_b + half * 4) =
          *reinterpret_cast<const float4*>(b_tile + p * pitch + half * 64 + thread_column());
    }
    SIMT_UNROLL
    for (int i = 0; i < 8; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < 8; ++j) sums[i][j] = fmaf(of_a[i], of_b[j], sums[i][j]);
    }
  }
}
//! [multiply]

// c: the tile's first element, of a matrix of n columns; rows and columns: how many of the tile there are.
inline __device__ void store_tile(const float (&sums)[8][8], int64_t rows, int64_t columns, float* c, int64_t n) {
  SIMT_UNROLL
  for (int i = 0; i < 8; ++i) {
    const int row = thread_row() + i / 4 * 64 + i % 4;
    SIMT_UNROLL
    for (int j = 0; j < 8; j += 4) {
      const int column = thread_column() + j / 4 * 64;
      if (n % 4 == 0 && row < rows && column < columns) {
        *reinterpret_cast<float4*>(c + row * n + column) =
            make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]);
      } else {
        SIMT_UNROLL
        for (int l = 0; l < 4; ++l) {
          if (row < rows && column + l < columns) c[row * n + column + l] = sums[i][j + l];
        }
      }
    }
  }
}

}  // namespace gradus::cuda_ladder
