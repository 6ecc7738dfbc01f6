// Stable sorting of rows: tiles in shared memory by a bitonic network (Batcher 1968), then, where rows are longer,
// merged two by two, each element finding its own place.
#pragma once

#include "tensor/kernels/cuda/block.h"

namespace gradus::cuda {

inline constexpr int tile_size = 1024, tile_threads = tile_size / 2, merge_threads = 256;

// NaN counts as the largest.
template <class T>
__device__ bool comes_before(T a, T b, bool descending) {
  const T low = descending ? b : a, high = descending ? a : b;
  return high != high ? low == low : low < high;
}

// Sorts tiles of rows; or several short rows at a time, each in a section of 2^k elements. With its place each element
// is different from all others, which makes the network, unstable by itself, a stable one.
template <class T>
__global__ void __launch_bounds__(tile_threads)
    sort_tiles(const T* x, int64_t rows, int64_t n, int64_t tiles, int section, bool descending, T* values,
               int64_t* indices) {
  SIMT_SHARED(T, keys, [tile_size]);
  SIMT_SHARED(int, places, [tile_size]);  // in the section; beyond tile_size where there is no element
  const int thread = int(threadIdx.x);
  const auto row_of = [&](int i) { return (int64_t(blockIdx.x) * (tile_size / section) + i / section) / tiles; };
  const auto tile_of = [&](int i) { return (int64_t(blockIdx.x) * (tile_size / section) + i / section) % tiles; };
  for (int i = thread; i < tile_size; i += tile_threads) {
    const int64_t row = row_of(i), at = tile_of(i) * tile_size + i % section;
    const bool present = row < rows && at < n;
    keys[i] = present ? x[row * n + at] : T(0);
    places[i] = i % section + (present ? 0 : tile_size);
  }
  __syncthreads();
  const auto before = [&](int i, int j) {
    const bool i_absent = places[i] >= tile_size, j_absent = places[j] >= tile_size;
    if (i_absent || j_absent) return j_absent && !i_absent;
    if (comes_before(keys[i], keys[j], descending)) return true;
    return !comes_before(keys[j], keys[i], descending) && places[i] < places[j];
  };
  for (int sorted = 2; sorted <= section; sorted *= 2) {
    for (int step = sorted / 2; step > 0; step /= 2) {
      const int i = 2 * thread - thread % step, j = i + step;
      const bool upwards = (i % section & sorted) == 0;
      if (upwards ? before(j, i) : before(i, j)) {
        const T key = keys[i];
        keys[i] = keys[j], keys[j] = key;
        const int place = places[i];
        places[i] = places[j], places[j] = place;
      }
      __syncthreads();
    }
  }
  for (int i = thread; i < tile_size; i += tile_threads) {
    const int64_t row = row_of(i), at = tile_of(i) * tile_size + i % section;
    if (row < rows && at < n) {
      values[row * n + at] = keys[i];
      indices[row * n + at] = tile_of(i) * tile_size + places[i];
    }
  }
}

// Merges each two neighbouring sorted runs of `run` elements of a row: an element's place is its own in its run, and
// behind as many of the other run as come before it; of equals, those of the first run do.
template <class T>
__global__ void __launch_bounds__(merge_threads)
    merge_runs(const T* x, const int64_t* indices, int64_t rows, int64_t n, int64_t run, bool descending, T* merged,
               int64_t* merged_indices) {
  const int64_t i = int64_t(blockIdx.x) * merge_threads + threadIdx.x;
  if (i >= rows * n) return;
  const int64_t row = i / n, at = i % n, mine = at / run * run;
  const bool second = at / run % 2 == 1;
  const int64_t other = second ? mine - run : mine + run;
  const T key = x[i], *from = x + row * n;
  int64_t low = min(other, n), high = min(other + run, n);
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const bool first =
        second ? !comes_before(key, from[middle], descending) : comes_before(from[middle], key, descending);
    if (first)
      low = middle + 1;
    else
      high = middle;
  }
  const int64_t to = row * n + min(mine, other) + (at - mine) + (low - min(other, n));
  merged[to] = key;
  merged_indices[to] = indices[i];
}

template <class T>
void sort(const void* x, int64_t rows, int64_t n, bool descending, void* values, int64_t* indices) {
  if (rows == 0 || n == 0) return;
  int section = 1;
  while (section < n && section < tile_size) section *= 2;
  const int64_t tiles = div_up(n, tile_size), sections = rows * tiles;
  int passes = 0;
  for (int64_t run = tile_size; run < n; run *= 2) ++passes;
  const Scratch<T> other_values(passes ? rows * n : 0);
  const Scratch<int64_t> other_indices(passes ? rows * n : 0);
  T *from = static_cast<T*>(values), *to = other_values.data();
  int64_t *from_indices = indices, *to_indices = other_indices.data();
  const auto exchange = [&] { std::swap(from, to), std::swap(from_indices, to_indices); };
  if (passes % 2 == 1) exchange();  // so that the last pass writes the result
  launch(sort_tiles<T>, unsigned(div_up(sections, tile_size / section)), tile_threads, 0, static_cast<const T*>(x),
         rows, n, tiles, section, descending, from, from_indices);
  for (int64_t run = tile_size; run < n; run *= 2) {
    launch(merge_runs<T>, unsigned(div_up(rows * n, merge_threads)), merge_threads, 0, from, from_indices, rows, n,
           run, descending, to, to_indices);
    exchange();
  }
}

}  // namespace gradus::cuda
