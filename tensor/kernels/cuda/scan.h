// Running sums: y[i] = x[0] + ... + x[i] along the middle of (outer, n, inner).
#pragma once

#include <algorithm>

#include "tensor/kernels/cuda/block.h"
#include "tensor/kernels/cuda/scalar.h"

namespace gradus::cuda {

inline constexpr int scan_threads = 256, scan_items = 8, scan_chunk = scan_threads * scan_items;

// The lines along which sums run: one for each of outer and inner.
struct Lines {
  int64_t outer, n, inner;
  GRADUS_DEVICE int64_t count() const { return outer * inner; }
  __device__ int64_t first(int64_t line) const { return line / inner * n * inner + line % inner; }
};

// A thread for each line, the next in the next.
template <class T>
__global__ void __launch_bounds__(scan_threads) scan_by_threads(const T* x, T* y, Lines lines) {
  const int64_t line = int64_t(blockIdx.x) * scan_threads + threadIdx.x;
  if (line >= lines.count()) return;
  const int64_t first = lines.first(line);
  Compute<T> total = 0;
  for (int64_t i = 0; i < lines.n; ++i) {
    total += Compute<T>(x[first + i * lines.inner]);
    y[first + i * lines.inner] = convert<T>(total);
  }
}

// The sum of each part of each line, a block each.
template <class T>
__global__ void __launch_bounds__(scan_threads)
    sum_parts(const T* x, Lines lines, int64_t parts, int64_t length, Compute<T>* sums) {
  SIMT_SHARED(Compute<T>, partial, [warp_size]);
  const int64_t first = lines.first(blockIdx.x / parts), begin = blockIdx.x % parts * length;
  const int64_t end = min(begin + length, lines.n);
  Compute<T> total = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += scan_threads) total += Compute<T>(x[first + i * lines.inner]);
  total = combine_lanes<scan_threads>(total, Sum(), partial);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// A block goes along its part of a line in chunks: each thread adds up its items, the threads' sums are added up across
// warps and block (Hillis and Steele 1986), and what came before is carried on. `sums`: of the parts, if it has been
// divided.
template <class T>
__global__ void __launch_bounds__(scan_threads)
    scan_by_blocks(const T* x, T* y, Lines lines, int64_t parts, int64_t length, const Compute<T>* sums) {
  using C = Compute<T>;
  constexpr int warps = scan_threads / warp_size;
  SIMT_SHARED(C, partial, [warp_size]);
  SIMT_SHARED(C, warp_sums, [2][warps]);
  const int thread = int(threadIdx.x), lane = thread % warp_size, warp = thread / warp_size;
  const int64_t line = blockIdx.x / parts, part = blockIdx.x % parts, first = lines.first(line);
  const int64_t begin = part * length, end = min(begin + length, lines.n);
  C carry = 0;
  if (parts > 1) {
    for (int64_t i = thread; i < part; i += scan_threads) carry += sums[line * parts + i];
    carry = combine_lanes<scan_threads>(carry, Sum(), partial);
  }
  int turn = 0;  // a result of the turn before may still be read
  for (int64_t chunk = begin; chunk < end; chunk += scan_chunk, turn ^= 1) {
    const int64_t from = chunk + int64_t(thread) * scan_items;
    C v[scan_items], total = 0;
    SIMT_UNROLL
    for (int j = 0; j < scan_items; ++j) {
      total += from + j < end ? C(x[first + (from + j) * lines.inner]) : C(0);
      v[j] = total;
    }
    C before = total;  // the sum up to this thread, then without it
    SIMT_UNROLL
    for (int step = 1; step < warp_size; step *= 2) {
      const C other = __shfl_up_sync(whole_warp, before, step);
      if (lane >= step) before += other;
    }
    if (lane == warp_size - 1) warp_sums[turn][warp] = before;
    before = __shfl_up_sync(whole_warp, before, 1);
    if (lane == 0) before = 0;
    __syncthreads();
    C all = carry;
    for (int w = 0; w < warps; ++w) {
      if (w == warp) before += all;
      all += warp_sums[turn][w];
    }
    carry = all;
    SIMT_UNROLL
    for (int j = 0; j < scan_items; ++j)
      if (from + j < end) y[first + (from + j) * lines.inner] = convert<T>(before + v[j]);
  }
}

template <class T>
void cumsum(const void* x, void* y, int64_t outer, int64_t n, int64_t inner) {
  const Lines lines{outer, n, inner};
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  const int64_t count = lines.count(), blocks = 8 * device_limits().multiprocessors;
  if (count == 0 || n == 0) return;
  if (n <= 32 || (inner >= warp_size && count >= blocks * warp_size)) {
    launch(scan_by_threads<T>, unsigned(div_up(count, scan_threads)), scan_threads, 0, from, to, lines);
    return;
  }
  // Few long lines are divided, for there to be blocks enough.
  const int64_t wanted = std::max<int64_t>(std::min(blocks / count, div_up(n, 4 * scan_chunk)), 1);
  const int64_t length = div_up(div_up(n, wanted), scan_chunk) * scan_chunk, parts = div_up(n, length);
  const Scratch<Compute<T>> sums(parts > 1 ? count * parts : 0);
  if (parts > 1)
    launch(sum_parts<T>, unsigned(count * parts), scan_threads, 0, from, lines, parts, length, sums.data());
  launch(scan_by_blocks<T>, unsigned(count * parts), scan_threads, 0, from, to, lines, parts, length, sums.data());
}

}  // namespace gradus::cuda
