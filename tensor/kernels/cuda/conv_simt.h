// Convolutions in float32 and float64, and in bfloat16 where there are no tensor cores for it: tiles in shared memory,
// of which each thread multiplies a part in registers.
#pragma once

#include <cmath>

#include "tensor/kernels/cuda/conv_parts.h"

namespace gradus::cuda::conv {

inline constexpr int tile_depth = 8;  // products that a step of the loop adds to each sum

// A block's tile of the result, tile_rows x tile_columns, and the part of it that a thread has: thread_rows rows and 8
// columns, in groups of four that lie apart, so that what neighbours read from shared memory lies together.
template <class C, int tile_rows, int tile_columns, int thread_rows>
struct Tile {
  static constexpr int rows = tile_rows, columns = tile_columns, thread_columns = 8;
  static constexpr int threads_across = columns / thread_columns, threads = rows / thread_rows * threads_across;
  static constexpr int blocks = sizeof(C) == 8 ? 1 : threads == 256 ? 2 : 3;  // on a multiprocessor at a time
  static constexpr int row_groups = thread_rows / 4, column_groups = thread_columns / 4;
  // Four more, so that threads which write down a column meet different banks.
  using Left = C[tile_depth][rows + 4];
  using Right = C[tile_depth][columns + 4];

  C sums[thread_rows][thread_columns] = {};

  static __device__ int row(int i) {
    return i / 4 * (rows / row_groups) + int(threadIdx.x) / threads_across * 4 + i % 4;
  }
  static __device__ int column(int j) {
    return j / 4 * (columns / column_groups) + int(threadIdx.x) % threads_across * 4 + j % 4;
  }
  __device__ void multiply(const Left& left, const Right& right) {
    struct alignas(16) Group {
      C v[4];
    };
    SIMT_UNROLL
    for (int k = 0; k < tile_depth; ++k) {
      Group a[row_groups], b[column_groups];
      SIMT_UNROLL
      for (int i = 0; i < row_groups; ++i) a[i] = *reinterpret_cast<const Group*>(&left[k][row(4 * i)]);
      SIMT_UNROLL
      for (int j = 0; j < column_groups; ++j) b[j] = *reinterpret_cast<const Group*>(&right[k][column(4 * j)]);
      SIMT_UNROLL
      for (int i = 0; i < thread_rows; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < thread_columns; ++j)
          sums[i][j] = std::fma(a[i / 4].v[i % 4], b[j / 4].v[j % 4], sums[i][j]);
      }
    }
  }
};

template <class T, class C, int tile_rows, int tile_columns, int thread_rows>
__global__ void __launch_bounds__((Tile<C, tile_rows, tile_columns, thread_rows>::threads),
                                  (Tile<C, tile_rows, tile_columns, thread_rows>::blocks))
    multiply_taps(Product<T> p) {
  using Part = Tile<C, tile_rows, tile_columns, thread_rows>;
  constexpr int threads = Part::threads, columns_at_once = threads / tile_columns;
  constexpr int left_steps = tile_rows * 8 / threads, right_steps = tile_depth / columns_at_once;
  static_assert(columns_at_once >= 1 && left_steps >= 1);
  SIMT_SHARED(typename Part::Left, left, [2]);
  SIMT_SHARED(typename Part::Right, right, [2]);
  SIMT_SHARED(Tap, taps, [2][tile_depth]);
  SIMT_SHARED(Triple, next_taps, [tile_depth]);
  SIMT_SHARED(int64_t, targets, [tile_columns]);

  const int tid = int(threadIdx.x);
  const Place place(p, tile_rows, tile_columns);
  const int weights = int(place.group * p.weight_group) + place.first_row * p.weight_row;

  // The pixel whose source elements this thread reads.
  const int own_column = tid % tile_columns, own_depth = tid / tile_columns;
  const int64_t n = place.first_column + own_column;
  const Pixel pixel = pixel_of(p, Triple::of(n, p.vertical.targets, p.horizontal.targets), n < p.columns);
  const T* source =
      p.source + int64_t(place.group) * p.channels * p.vertical.source * p.horizontal.source + pixel.source;
  if (own_depth == 0) targets[own_column] = n < p.columns ? pixel.target : -1;

  // The first threads work out the taps of the step after the next.
  if (tid < tile_depth) next_taps[tid] = Triple::of(tid, p.vertical.taps, p.horizontal.taps);
  auto write_tap = [&](int slot) {
    if (tid >= tile_depth) return;
    Triple& next = next_taps[tid];
    Tap tap = Tap::of(p.vertical, p.horizontal, next, p.channels);
    tap.weight = weight_of(p, next);
    taps[slot][tid] = tap;
    next.advance(p.depth_step, p.vertical.taps, p.horizontal.taps);
  };

  // Eight neighbouring threads read eight neighbouring weights.
  T from_weights[left_steps], from_source[right_steps];
  auto load = [&](int slot) {
    const Tap of_weights = taps[slot][tid % 8];
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) {
      const int m = tid / 8 + i * (threads / 8);
      const bool exists = place.first_row + m < p.rows && of_weights.row != nowhere;
      from_weights[i] = exists ? p.weight[weights + m * p.weight_row + of_weights.weight] : T(0);
    }
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i) {
      const Tap tap = taps[slot][own_depth + i * columns_at_once];
      const bool seen = inside(p.vertical, p.horizontal, pixel.row + tap.row, pixel.column + tap.column);
      from_source[i] = seen ? source[tap.offset] : T(0);
    }
  };
  auto keep = [&](int slot) {
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) left[slot][tid % 8][tid / 8 + i * (threads / 8)] = C(from_weights[i]);
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i)
      right[slot][own_depth + i * columns_at_once][own_column] = C(from_source[i]);
  };

  Part part;
  const int steps = int(div_up(p.depth, tile_depth));
  write_tap(0);
  write_tap(1);
  __syncthreads();
  load(0);
  keep(0);
  __syncthreads();
  SIMT_NO_UNROLL
  for (int step = 0; step < steps; ++step) {
    const int slot = step & 1;
    const bool more = step + 1 < steps;
    if (more) load(slot ^ 1);
    write_tap(slot);
    part.multiply(left[slot], right[slot]);
    if (more) keep(slot ^ 1);
    __syncthreads();
  }

  SIMT_UNROLL
  for (int i = 0; i < thread_rows; ++i) {
    const int m = place.first_row + Part::row(i);
    if (m >= p.rows) continue;
    const int64_t plane = int64_t(place.group) * p.rows + m;
    const C bias = p.bias ? C(p.bias[plane]) : C(0);
    T* to = p.target + plane * p.target_plane;
    SIMT_UNROLL
    for (int j = 0; j < Part::thread_columns; j += 4) {
      struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) Four {
        T v[4];
      } four;
      SIMT_UNROLL
      for (int k = 0; k < 4; ++k) four.v[k] = T(part.sums[i][j + k] + bias);
      const int64_t* there = &targets[Part::column(j)];
      if (p.contiguous && there[0] >= 0) {
        *reinterpret_cast<Four*>(to + there[0]) = four;
      } else {
        for (int k = 0; k < 4; ++k)
          if (there[k] >= 0) to[there[k]] = four.v[k];
      }
    }
  }
}

template <class T, class C, int tile_rows, int tile_columns, int thread_rows>
__global__ void __launch_bounds__((Tile<C, tile_rows, tile_columns, thread_rows>::threads),
                                  (Tile<C, tile_rows, tile_columns, thread_rows>::blocks))
    multiply_pixels(WeightGradient<T> p) {
  using Part = Tile<C, tile_rows, tile_columns, thread_rows>;
  constexpr int threads = Part::threads, left_steps = tile_rows * 8 / threads,
                right_steps = tile_columns * 8 / threads;
  static_assert(left_steps >= 1 && right_steps >= 1 && threads >= tile_columns);
  SIMT_SHARED(typename Part::Left, left, [2]);
  SIMT_SHARED(typename Part::Right, right, [2]);
  SIMT_SHARED(Pixel, pixels, [2][tile_depth]);
  SIMT_SHARED(Tap, taps, [tile_columns]);

  const int tid = int(threadIdx.x);
  const SlicePlace place(p, tile_rows, tile_columns);
  const int plane = p.vertical.targets * p.horizontal.targets;
  const T* source = p.source + int64_t(place.group) * p.channels * p.vertical.source * p.horizontal.source;
  const T* gradient = p.gradient + (int64_t(place.group) * p.rows + place.first_row) * plane;
  if (tid < tile_columns)
    taps[tid] = Tap::of(p.vertical, p.horizontal,
                        Triple::of(place.first_column + tid, p.vertical.taps, p.horizontal.taps), p.channels);

  int64_t next = place.begin + tid % tile_depth;
  Triple next_pixel = Triple::of(next, p.vertical.targets, p.horizontal.targets);
  auto write_pixel = [&](int slot) {
    if (tid >= tile_depth) return;
    const Pixel pixel = pixel_of(p, next_pixel, next < place.end);
    pixels[slot][tid] = pixel;
    next_pixel.advance(p.depth_step, p.vertical.targets, p.horizontal.targets);
    next += tile_depth;
  };

  // Eight neighbouring threads read eight neighbouring pixels.
  T from_gradient[left_steps], from_source[right_steps];
  auto load = [&](int slot) {
    const Pixel pixel = pixels[slot][tid % 8];
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) {
      const int m = tid / 8 + i * (threads / 8);
      const bool exists = place.first_row + m < p.rows && pixel.row != nowhere;
      from_gradient[i] = exists ? gradient[m * plane + pixel.target] : T(0);
    }
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i) {
      const Tap tap = taps[tid / 8 + i * (threads / 8)];
      const bool seen = inside(p.vertical, p.horizontal, pixel.row + tap.row, pixel.column + tap.column);
      from_source[i] = seen ? source[pixel.source + tap.offset] : T(0);
    }
  };
  auto keep = [&](int slot) {
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) left[slot][tid % 8][tid / 8 + i * (threads / 8)] = C(from_gradient[i]);
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i) right[slot][tid % 8][tid / 8 + i * (threads / 8)] = C(from_source[i]);
  };

  Part part;
  const int64_t steps = place.end > place.begin ? div_up(place.end - place.begin, tile_depth) : 0;
  write_pixel(0);
  write_pixel(1);
  __syncthreads();
  load(0);
  keep(0);
  __syncthreads();
  SIMT_NO_UNROLL
  for (int64_t step = 0; step < steps; ++step) {
    const int slot = int(step & 1);
    const bool more = step + 1 < steps;
    if (more) load(slot ^ 1);
    write_pixel(slot);
    part.multiply(left[slot], right[slot]);
    if (more) keep(slot ^ 1);
    __syncthreads();
  }

  C* to = p.sums + (place.slice * p.groups + place.group) * p.rows * p.columns;
  SIMT_UNROLL
  for (int i = 0; i < thread_rows; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < Part::thread_columns; ++j) {
      const int m = place.first_row + Part::row(i), n = place.first_column + Part::column(j);
      if (m < p.rows && n < p.columns) to[int64_t(m) * p.columns + n] = part.sums[i][j];
    }
  }
}

}  // namespace gradus::cuda::conv
