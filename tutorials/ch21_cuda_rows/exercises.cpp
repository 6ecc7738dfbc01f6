// Exercises of chapter 21. What each function has to do is in exercises.h.
#include "exercises.h"

#include <cmath>

#include "tensor/kernels/cuda/simt.h"
#include "tutorials/grading/grading.h"

namespace {

constexpr int warp = 32;
constexpr unsigned everyone = 0xffffffffu;

// 21.1 ★ First the row, of which warp of which block; then the place in it; then whether both exist.
int64_t place(int64_t block, int warps, int thread, int64_t step, int64_t rows, int64_t n) {
  // BEGIN SOLUTION 21.1
  const int64_t row = block * warps + thread / warp, column = step * warp + thread % warp;
  return row < rows && column < n ? row * n + column : -1;
  // END SOLUTION
  // MISTAKE each thread has a piece of the row for itself, so that neighbours read far apart
  // - const int64_t row = block * warps + thread / warp, column = step * warp + thread % warp;
  // + const int64_t steps = (n + warp - 1) / warp;
  // + const int64_t row = block * warps + thread / warp, column = thread % warp * steps + step;
  // MISTAKE a row that does not exist is read, behind the end of the matrix
  // - return row < rows && column < n ? row * n + column : -1;
  // + return column < n ? row * n + column : -1;
}

// 21.2 ★★ Five steps of __shfl_xor_sync. All lanes take part in each of them, those without a number too.
__global__ void warp_sums(int64_t n, const float* x, float* y) {
  // BEGIN SOLUTION 21.2
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  float value = i < n ? x[i] : 0;
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(everyone, value, step);
  if (i < n) y[i] = value;
  // END SOLUTION
  // MISTAKE lanes without a number return before the shuffle that names them in its mask
  // - float value = i < n ? x[i] : 0;
  // + if (i >= n) return;
  // + float value = x[i];
  // MISTAKE only lane 0 gets the sum of all: with __shfl_down_sync the others add what is not theirs
  // - for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(everyone, value, step);
  // + for (int step = warp / 2; step > 0; step /= 2) value += __shfl_down_sync(everyone, value, unsigned(step));
}

// 21.3 ★★ A sum for each thread, then for each warp by shuffles, and one number for each warp in shared memory; behind
// a barrier the first warp adds these up.
__global__ void block_sum(int64_t n, const float* x, float* sum) {
  // BEGIN SOLUTION 21.3
  SIMT_SHARED(float, parts, [warp]);
  const int thread = int(threadIdx.x), warps = int(blockDim.x) / warp;
  float value = 0;
  for (int64_t i = thread; i < n; i += blockDim.x) value += x[i];
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(everyone, value, step);
  if (thread % warp == 0) parts[thread / warp] = value;
  __syncthreads();
  if (thread >= warp) return;
  value = thread < warps ? parts[thread] : 0;
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(everyone, value, step);
  if (thread == 0) *sum = value;
  // END SOLUTION
  // MISTAKE no barrier stands between writing a warp's part and reading it
  // - __syncthreads();
  // MISTAKE parts are read of warps that the block does not have
  // - value = thread < warps ? parts[thread] : 0;
  // + value = parts[thread];
}

// 21.4 ★★ A lane goes through the row in steps of 32. What all lanes need, the largest number and the sum, goes by
// shuffles. A lane that has no number at all has to take part in them with something that changes nothing.
__global__ void row_softmax(int64_t rows, int64_t n, int64_t stride, const float* x, float* y) {
  // BEGIN SOLUTION 21.4
  const int lane = int(threadIdx.x);
  const int64_t row = int64_t(blockIdx.x) * blockDim.y + threadIdx.y;
  if (row >= rows) return;  // the whole warp
  x += row * stride, y += row * n;
  float largest = -INFINITY, sum = 0;
  for (int64_t i = lane; i < n; i += warp) largest = fmaxf(largest, x[i]);
  for (int step = warp / 2; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(everyone, largest, step));
  for (int64_t i = lane; i < n; i += warp) sum += expf(x[i] - largest);
  for (int step = warp / 2; step > 0; step /= 2) sum += __shfl_xor_sync(everyone, sum, step);
  for (int64_t i = lane; i < n; i += warp) y[i] = expf(x[i] - largest) / sum;
  // END SOLUTION
  // MISTAKE the largest number begins at 0, so that where all are far below it every exponential is 0
  // - float largest = -INFINITY, sum = 0;
  // + float largest = 0, sum = 0;
  // MISTAKE each lane divides by the sum of its own numbers
  // - for (int step = warp / 2; step > 0; step /= 2) sum += __shfl_xor_sync(everyone, sum, step);
}

// 21.5 ★★★ Lane c has column c of the query, of a key, a value and the output. A score is a sum of the warp. Of its
// keys a warp leaves the largest score, the sum of exp(score - largest), and that of exp(score - largest) value in
// shared memory; behind a barrier one warp merges what all of them have left.
__global__ void attend(int64_t n, int d, float scale, const float* q, const float* k, const float* v, float* output) {
  // BEGIN SOLUTION 21.5
  SIMT_SHARED(float, largest_of, [warp]);
  SIMT_SHARED(float, sum_of, [warp]);
  SIMT_SHARED(float, output_of, [warp][warp]);
  const int lane = int(threadIdx.x), mine = int(threadIdx.y), warps = int(blockDim.y);
  const float query = lane < d ? q[lane] : 0;
  float largest = -INFINITY, sum = 0, out = 0;
  for (int64_t j = mine; j < n; j += warps) {
    float score = lane < d ? query * k[j * d + lane] : 0;
    for (int step = warp / 2; step > 0; step /= 2) score += __shfl_xor_sync(everyone, score, step);
    const float top = fmaxf(largest, scale * score);
    const float shrink = expf(largest - top), weight = expf(scale * score - top);
    largest = top;
    sum = shrink * sum + weight;
    out = shrink * out + (lane < d ? weight * v[j * d + lane] : 0);
  }
  if (lane == 0) largest_of[mine] = largest, sum_of[mine] = sum;
  output_of[mine][lane] = out;
  __syncthreads();
  if (mine != 0 || lane >= d) return;
  for (int w = 1; w < warps; ++w) largest = fmaxf(largest, largest_of[w]);
  float all = 0, result = 0;
  for (int w = 0; w < warps; ++w) {
    const float shrink = expf(largest_of[w] - largest);
    all += shrink * sum_of[w];
    result += shrink * output_of[w][lane];
  }
  output[lane] = result / all;
  // END SOLUTION
  // MISTAKE the warps' sums are added as they are, though each was taken from a largest score of its own
  // - const float shrink = expf(largest_of[w] - largest);
  // + const float shrink = 1;
  // MISTAKE each warp has divided by its own sum, and the quotients are averaged
  // - const float shrink = expf(largest_of[w] - largest);
  // - all += shrink * sum_of[w];
  // - result += shrink * output_of[w][lane];
  // + if (sum_of[w] == 0) continue;
  // + all += 1;
  // + result += output_of[w][lane] / sum_of[w];
}

}  // namespace

EXERCISES(ch21::Exercises, place, warp_sums, block_sum, row_softmax, attend);
