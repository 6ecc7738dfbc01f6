// The place of the largest or the smallest of each row.
#pragma once

#include <algorithm>

#include "tensor/kernels/cuda/block.h"

namespace gradus::cuda {

// An element and its place in the row; none: -1.
template <class C>
struct Placed {
  C value;
  int64_t place;
};

// Whether b is chosen over a: NaN over numbers, the first of equals.
template <class C>
__device__ bool chosen(bool largest, const Placed<C>& a, const Placed<C>& b) {
  if (a.place < 0 || b.place < 0) return a.place < 0;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return b_nan;
  if (!a_nan && a.value != b.value) return largest ? b.value > a.value : b.value < a.value;
  return b.place < a.place;
}

// Each `lanes` threads look through a part of a row: all of it, or, of an earlier launch's `places` in the row, those.
template <class T, int lanes>
__global__ void __launch_bounds__(RowShape<lanes, 1>::threads)
    arg_rows(bool largest, const T* x, int64_t rows, int64_t n, const int64_t* places, int64_t count, int64_t parts,
             int64_t length, int64_t* y) {
  using C = Compute<T>;
  SIMT_SHARED(C, values, [warp_size]);
  SIMT_SHARED(int64_t, kept, [warp_size]);
  const int lane = int(threadIdx.x) % lanes;
  const int64_t group = int64_t(blockIdx.x) * RowShape<lanes, 1>::rows + int(threadIdx.x) / lanes;
  const int64_t row = group / parts, begin = group % parts * length;
  const int64_t end = row < rows ? min(begin + length, count) : 0;
  Placed<C> best{C(0), -1};
  for (int64_t i = begin + lane; i < end; i += lanes) {
    const int64_t place = places ? places[row * count + i] : i;
    const Placed<C> other{C(x[row * n + place]), place};
    if (chosen(largest, best, other)) best = other;
  }
  const auto across = [&](int step) {
    const Placed<C> other{__shfl_xor_sync(whole_warp, best.value, step),
                          __shfl_xor_sync(whole_warp, best.place, step)};
    if (chosen(largest, best, other)) best = other;
  };
  for (int step = warp_size / 2; step > 0; step /= 2) across(step);
  if constexpr (lanes > warp_size) {
    constexpr int warps = lanes / warp_size;
    if (threadIdx.x % warp_size == 0) {
      values[threadIdx.x / warp_size] = best.value;
      kept[threadIdx.x / warp_size] = best.place;
    }
    __syncthreads();
    best = {values[threadIdx.x % warps], kept[threadIdx.x % warps]};
    for (int step = warps / 2; step > 0; step /= 2) across(step);
  }
  if (lane == 0 && row < rows) y[group] = best.place;
}

template <class T>
void arg_reduce(ArgReduce op, const void* x, int64_t rows, int64_t n, int64_t* y) {
  const T* from = static_cast<const T*>(x);
  const bool largest = op == ArgReduce::max;
  const auto start = [&](const int64_t* places, int64_t count, int64_t parts, int64_t length, int64_t* to) {
    if (length <= 1024)
      launch(arg_rows<T, warp_size>, unsigned(RowShape<warp_size, 1>::blocks(rows * parts)),
             RowShape<warp_size, 1>::threads, 0, largest, from, rows, n, places, count, parts, length, to);
    else
      launch(arg_rows<T, 256>, unsigned(rows * parts), 256, 0, largest, from, rows, n, places, count, parts, length,
             to);
  };
  // Few long rows are divided, for there to be blocks enough.
  const int64_t wanted = std::min(8 * device_limits().multiprocessors / std::max<int64_t>(rows, 1), div_up(n, 4096));
  const int64_t length = std::max<int64_t>(div_up(n, std::max<int64_t>(wanted, 1)), 1), parts = div_up(n, length);
  if (parts <= 1) return start(nullptr, n, 1, length, y);
  const Scratch<int64_t> places(rows * parts);
  start(nullptr, n, parts, length, places.data());
  start(places.data(), parts, 1, parts, y);
}

}  // namespace gradus::cuda
