// Convolutions in bfloat16 on tensor cores (compute capability 8.0 on): the same tiles as in conv_simt.h, which warps
// multiply by mma.sync, adding up in float32.
#pragma once

#include "tensor/kernels/cuda/conv_parts.h"

namespace gradus::cuda::conv {

inline constexpr int mma_columns = 128, mma_depth = 32, octets = mma_depth / 8;  // of a block's tile; of a step

// A block's tile, tile_rows x 128. Each warp has 32 x 64 of it: 2 x 8 products of 16 x 8.
template <int tile_rows>
struct MmaTile {
  static constexpr int threads = tile_rows * 2, blocks = tile_rows == 128 ? 2 : 3;  // on a multiprocessor at a time
  // Rows of 32 numbers, and 8 more, so that the eight rows that ldmatrix reads at a time lie in different banks.
  using Left = bf16[tile_rows][mma_depth + 8];
  using Right = bf16[mma_columns][mma_depth + 8];

  float sums[2][8][4] = {};

  static __device__ int warp_row() { return int(threadIdx.x) / warp_size / 2 * 32; }
  static __device__ int warp_column() { return int(threadIdx.x) / warp_size % 2 * 64; }
  // The row and the column of sums[i][j][k] in the tile.
  static __device__ int row(int i, int k) {
    return warp_row() + i * 16 + int(threadIdx.x) % warp_size / 4 + k / 2 * 8;
  }
  static __device__ int column(int j, int k) { return warp_column() + j * 8 + int(threadIdx.x) % 4 * 2 + k % 2; }

  __device__ void multiply(const Left& left, const Right& right) {
    const int lane = int(threadIdx.x) % warp_size;
    SIMT_UNROLL
    for (int depth = 0; depth < mma_depth; depth += 16) {
      uint32_t a[2][4];
      SIMT_UNROLL
      for (int i = 0; i < 2; ++i)
        simt::ldmatrix_x4(a[i], &left[warp_row() + i * 16 + lane % 16][depth + lane / 16 * 8]);
      SIMT_UNROLL
      for (int pair = 0; pair < 4; ++pair) {
        uint32_t both[4];
        simt::ldmatrix_x4(both,
                          &right[warp_column() + pair * 16 + lane / 16 * 8 + lane % 8][depth + lane / 8 % 2 * 8]);
        const uint32_t first[2] = {both[0], both[1]}, second[2] = {both[2], both[3]};
        SIMT_UNROLL
        for (int i = 0; i < 2; ++i) {
          simt::mma_m16n8k16_bf16(sums[i][2 * pair], a[i], first);
          simt::mma_m16n8k16_bf16(sums[i][2 * pair + 1], a[i], second);
        }
      }
    }
  }
};

// Eight numbers on their way to shared memory, read one by one.
struct Octet {
  uint32_t words[4] = {};
  __device__ void set(int i, uint16_t bits) { words[i / 2] |= uint32_t(bits) << (i % 2 * 16); }
  __device__ uint4 packed() const { return make_uint4(words[0], words[1], words[2], words[3]); }
};

// The weights as the product reads them: (groups, rows, depth) with rows a multiple of the tile's and depth of a
// step's, taps in the product's order.
static __global__ void arrange_weights(Product<bf16> p, int padded_rows, int padded_depth, bf16* arranged) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, row = i / padded_depth;
  if (row >= int64_t(p.groups) * padded_rows) return;
  const int k = int(i - row * padded_depth), m = int(row % padded_rows), group = int(row / padded_rows);
  bf16 weight = bf16(0.0f);
  if (m < p.rows && k < p.depth)
    weight = p.weight[group * p.weight_group + int64_t(m) * p.weight_row +
                      weight_of(p, Triple::of(k, p.vertical.taps, p.horizontal.taps))];
  arranged[i] = weight;
}

template <int tile_rows>
__global__ void __launch_bounds__(MmaTile<tile_rows>::threads, MmaTile<tile_rows>::blocks)
    multiply_taps_mma(Product<bf16> p, const bf16* weights, int padded_rows, int padded_depth) {
  using Part = MmaTile<tile_rows>;
  constexpr int threads = Part::threads, at_once = threads / mma_columns;
  constexpr int left_steps = tile_rows * octets / threads, right_steps = octets / at_once;
  SIMT_SHARED(typename Part::Left, left, [2]);
  SIMT_SHARED(typename Part::Right, right, [2]);
  SIMT_SHARED(Tap, taps, [2][mma_depth]);
  SIMT_SHARED(Triple, next_taps, [mma_depth]);
  SIMT_SHARED(int64_t, targets, [mma_columns]);

  const int tid = int(threadIdx.x);
  const Place place(p, tile_rows, mma_columns);
  const int first_weight = (place.group * padded_rows + place.first_row) * padded_depth;
  const int own_column = tid % mma_columns, own_octet = tid / mma_columns;
  const int64_t n = place.first_column + own_column;
  const Pixel pixel = pixel_of(p, Triple::of(n, p.vertical.targets, p.horizontal.targets), n < p.columns);
  const uint16_t* source = reinterpret_cast<const uint16_t*>(p.source) + pixel.source +
                           int64_t(place.group) * p.channels * p.vertical.source * p.horizontal.source;
  if (own_octet == 0) targets[own_column] = n < p.columns ? pixel.target : -1;

  if (tid < mma_depth) next_taps[tid] = Triple::of(tid, p.vertical.taps, p.horizontal.taps);
  auto write_tap = [&](int slot) {
    if (tid >= mma_depth) return;
    taps[slot][tid] = Tap::of(p.vertical, p.horizontal, next_taps[tid], p.channels);
    next_taps[tid].advance(p.depth_step, p.vertical.taps, p.horizontal.taps);
  };

  uint4 from_weights[left_steps], from_source[right_steps];
  auto load = [&](int slot, int step) {
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) {
      const int at = tid + i * threads;
      const int offset = first_weight + at / octets * padded_depth + step * mma_depth + at % octets * 8;
      from_weights[i] = *reinterpret_cast<const uint4*>(weights + offset);
    }
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i) {
      Octet octet;
      SIMT_UNROLL
      for (int e = 0; e < 8; ++e) {
        const Tap tap = taps[slot][(own_octet + i * at_once) * 8 + e];
        const bool seen = inside(p.vertical, p.horizontal, pixel.row + tap.row, pixel.column + tap.column);
        octet.set(e, seen ? source[tap.offset] : uint16_t(0));
      }
      from_source[i] = octet.packed();
    }
  };
  auto keep = [&](int slot) {
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) {
      const int at = tid + i * threads;
      *reinterpret_cast<uint4*>(&left[slot][at / octets][at % octets * 8]) = from_weights[i];
    }
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i)
      *reinterpret_cast<uint4*>(&right[slot][own_column][(own_octet + i * at_once) * 8]) = from_source[i];
  };

  Part part;
  const int steps = padded_depth / mma_depth;
  write_tap(0);
  write_tap(1);
  __syncthreads();
  if (steps) load(0, 0), keep(0);
  __syncthreads();
  SIMT_NO_UNROLL
  for (int step = 0; step < steps; ++step) {
    const int slot = step & 1;
    const bool more = step + 1 < steps;
    if (more) load(slot ^ 1, step + 1);
    write_tap(slot);
    part.multiply(left[slot], right[slot]);
    if (more) keep(slot ^ 1);
    __syncthreads();
  }

  SIMT_UNROLL
  for (int i = 0; i < 2; ++i) {
    SIMT_UNROLL
    for (int half_row = 0; half_row < 4; half_row += 2) {
      const int m = place.first_row + Part::row(i, half_row);
      if (m >= p.rows) continue;
      const int64_t plane = int64_t(place.group) * p.rows + m;
      const float bias = p.bias ? float(p.bias[plane]) : 0;
      bf16* to = p.target + plane * p.target_plane;
      SIMT_UNROLL
      for (int j = 0; j < 8; ++j) {
        const float* sums = &part.sums[i][j][half_row];
        const int64_t* there = &targets[Part::column(j, 0)];
        if (p.contiguous && there[0] >= 0) {
          *reinterpret_cast<uint32_t*>(to + there[0]) = simt::pack_bf16(sums[0] + bias, sums[1] + bias);
        } else {
          for (int k = 0; k < 2; ++k)
            if (there[k] >= 0) to[there[k]] = bf16(sums[k] + bias);
        }
      }
    }
  }
}

template <int tile_rows>
__global__ void __launch_bounds__(MmaTile<tile_rows>::threads) multiply_pixels_mma(WeightGradient<bf16> p) {
  using Part = MmaTile<tile_rows>;
  constexpr int threads = Part::threads, at_once = threads / octets;  // rows of octets that are read together
  constexpr int left_steps = tile_rows / at_once, right_steps = mma_columns / at_once;
  SIMT_SHARED(typename Part::Left, left, [2]);
  SIMT_SHARED(typename Part::Right, right, [2]);
  SIMT_SHARED(Pixel, pixels, [2][mma_depth]);
  SIMT_SHARED(Tap, taps, [mma_columns]);

  const int tid = int(threadIdx.x), own_octet = tid % octets, own_row = tid / octets;
  const SlicePlace place(p, tile_rows, mma_columns);
  const int plane = p.vertical.targets * p.horizontal.targets;
  const uint16_t* source = reinterpret_cast<const uint16_t*>(p.source) +
                           int64_t(place.group) * p.channels * p.vertical.source * p.horizontal.source;
  const uint16_t* gradient =
      reinterpret_cast<const uint16_t*>(p.gradient) + (int64_t(place.group) * p.rows + place.first_row) * plane;
  if (tid < mma_columns)
    taps[tid] = Tap::of(p.vertical, p.horizontal,
                        Triple::of(place.first_column + tid, p.vertical.taps, p.horizontal.taps), p.channels);

  int64_t next = place.begin + tid % mma_depth;
  Triple next_pixel = Triple::of(next, p.vertical.targets, p.horizontal.targets);
  auto write_pixel = [&](int slot) {
    if (tid >= mma_depth) return;
    const Pixel pixel = pixel_of(p, next_pixel, next < place.end);
    pixels[slot][tid] = pixel;
    next_pixel.advance(p.depth_step, p.vertical.targets, p.horizontal.targets);
    next += mma_depth;
  };

  Octet from_gradient[left_steps], from_source[right_steps];
  auto load = [&](int slot) {
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i) from_gradient[i] = {};
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i) from_source[i] = {};
    SIMT_UNROLL
    for (int e = 0; e < 8; ++e) {
      const Pixel pixel = pixels[slot][own_octet * 8 + e];
      SIMT_UNROLL
      for (int i = 0; i < left_steps; ++i) {
        const int m = own_row + i * at_once;
        const bool exists = place.first_row + m < p.rows && pixel.row != nowhere;
        from_gradient[i].set(e, exists ? gradient[m * plane + pixel.target] : uint16_t(0));
      }
      SIMT_UNROLL
      for (int i = 0; i < right_steps; ++i) {
        const Tap tap = taps[own_row + i * at_once];
        const bool seen = inside(p.vertical, p.horizontal, pixel.row + tap.row, pixel.column + tap.column);
        from_source[i].set(e, seen ? source[pixel.source + tap.offset] : uint16_t(0));
      }
    }
  };
  auto keep = [&](int slot) {
    SIMT_UNROLL
    for (int i = 0; i < left_steps; ++i)
      *reinterpret_cast<uint4*>(&left[slot][own_row + i * at_once][own_octet * 8]) = from_gradient[i].packed();
    SIMT_UNROLL
    for (int i = 0; i < right_steps; ++i)
      *reinterpret_cast<uint4*>(&right[slot][own_row + i * at_once][own_octet * 8]) = from_source[i].packed();
  };

  Part part;
  const int64_t steps = place.end > place.begin ? div_up(place.end - place.begin, mma_depth) : 0;
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

  float* to = p.sums + (place.slice * p.groups + place.group) * p.rows * p.columns;
  SIMT_UNROLL
  for (int i = 0; i < 2; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < 8; ++j) {
      SIMT_UNROLL
      for (int k = 0; k < 4; ++k) {
        const int m = place.first_row + Part::row(i, k), n = place.first_column + Part::column(j, k);
        if (m < p.rows && n < p.columns) to[int64_t(m) * p.columns + n] = part.sums[i][j][k];
      }
    }
  }
}

}  // namespace gradus::cuda::conv
