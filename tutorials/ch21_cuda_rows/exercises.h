// The exercises of chapter 21: kernels over rows, by warps. They run on the emulator, and its checker looks on. All
// numbers are float32, in the device's memory.
#pragma once

#include <cstdint>

namespace ch21 {

struct Exercises {
  // 21.1 ★ Which number of a matrix (rows, n), lying without gaps, does a thread read in a step (0, 1 ...)? Each warp
  // of 32 threads has one row: warp 0 of block 0 has row 0, its next warp row 1, and so on, `warps` of them in each
  // block. In a step neighbouring threads read neighbouring numbers. Returns the place in the matrix, or -1 if there is
  // nothing to read: the row has ended, or there is no such row.
  int64_t (*place)(int64_t block, int warps, int thread, int64_t step, int64_t rows, int64_t n);

  // 21.2 ★★ y[i] is the sum of the 32 numbers of x that the warp of thread i has; where x ends, of what is left. Thread
  // i has x[i]. Launched with enough blocks of 64 threads for n numbers; y has n as well.
  void (*warp_sums)(int64_t n, const float* x, float* y);

  // 21.3 ★★ *sum is the sum of n numbers. Launched with one block, of 32 to 1024 threads, whole warps.
  void (*block_sum)(int64_t n, const float* x, float* sum);

  // 21.4 ★★ The softmax of each row of x (rows, n), whose rows begin `stride` numbers apart, into y (rows, n) without
  // gaps. n is 1 or more, and need not be a multiple of anything. Launched with enough blocks of (32, 4) threads:
  // threadIdx.y is a warp, which has the row blockIdx.x * 4 + threadIdx.y, if there is one.
  void (*row_softmax)(int64_t rows, int64_t n, int64_t stride, const float* x, float* y);

  // 21.5 ★★★ The output (d) for one query q (d) and n keys k and values v, both (n, d), n >= 1 and d <= 32. A score is
  // the product of query and key times `scale`. Launched with one block of (32, 1 to 32) threads: the keys are shared
  // out among its warps, each of which goes through its own with a running largest score, sum and output; in the end
  // these are merged. Some warps may have no key. No more than a few numbers for each thread are kept.
  void (*attend)(int64_t n, int d, float scale, const float* q, const float* k, const float* v, float* output);
};

}  // namespace ch21
