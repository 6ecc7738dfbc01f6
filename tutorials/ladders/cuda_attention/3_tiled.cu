// Rung 3, tiled: 32 queries share a tile of 32 keys and values in shared memory.
//
// A block copies the tile once, with loads in which neighbours read side by side, and 32 queries use it: global memory
// is read 32 times less. Eight threads have a query: each makes four of its 32 scores and sums an eighth of its
// output's columns in registers. What the eight need of each other, the largest score and the sum, goes by shuffles;
// the weights go by shared memory, within one warp, so that __syncwarp is enough.
//
// What holds it back: shared memory. A thread reads a number of q and four of k for four multiply-adds, and then a
// weight and a value for each: 1.6 loads for each multiply-add, while a multiprocessor starts four multiply-adds for
// every load. Tiles in registers mend that, as in the ladder of the matrix product: the library's kernels for float32,
// tensor/kernels/cuda/attention.cu, have four by four numbers in each thread. But the next rung leaves these units
// alone.
#include "tensor/kernels/cuda/kernels.h"
#include "tutorials/ladders/cuda_attention/attention.h"

namespace gradus::cuda_attention_ladder {
namespace {

using cuda::bf16, cuda::whole_warp;

constexpr int tile = 32, parts = 8, threads = tile * parts, most_columns = 128;
constexpr int pitch = most_columns + 1;  // one more than there are: rows begin in different banks

//! [tiled]
// Rows `first` and on of a head as float, zeros behind the last.
__device__ void load(const bf16* x, int64_t first, int64_t n, int d, float* to) {
  for (int at = int(threadIdx.x); at < tile * d; at += threads)
    to[at / d * pitch + at % d] = first + at / d < n ? float(x[first * d + at]) : 0;
}

__global__ void __launch_bounds__(threads) attend_tile(int64_t n, int d, const bf16* q, const bf16* k, const bf16* v,
                                                       float scale, bool causal, bf16* output) {
  SIMT_DYNAMIC_SHARED(float, queries);
  float *keys = queries + tile * pitch, *values = keys + tile * pitch, *weights = values + tile * pitch;
  const int64_t first_query = int64_t(blockIdx.x) * tile, head = int64_t(blockIdx.y) * n * d;
  const int row = int(threadIdx.x) / parts, part = int(threadIdx.x) % parts;
  const int64_t i = first_query + row, end = causal ? min(n, first_query + tile) : n;
  load(q + head, first_query, n, d, queries);
  float largest = -INFINITY, sum = 0, out[most_columns / parts] = {};  // out: of columns part, part + 8 ...
  for (int64_t first = 0; first < end; first += tile) {
    __syncthreads();  // the tile before was used
    load(k + head, first, n, d, keys);
    load(v + head, first, n, d, values);
    __syncthreads();
    float score[tile / parts] = {}, top = largest;  // of keys part, part + 8 ...
    for (int c = 0; c < d; ++c) {
      const float x = queries[row * pitch + c];
      for (int s = 0; s < tile / parts; ++s) score[s] = fmaf(x, keys[(part + s * parts) * pitch + c], score[s]);
    }
    for (int s = 0; s < tile / parts; ++s) {
      const int64_t j = first + part + s * parts;
      score[s] = j < n && (!causal || j <= i) ? scale * score[s] : -INFINITY;
      top = fmaxf(top, score[s]);
    }
    //! [running]
    for (int step = 1; step < parts; step *= 2) top = fmaxf(top, __shfl_xor_sync(whole_warp, top, step));
    const float shrink = expf(largest - top);
    largest = top, sum *= shrink;
    for (int s = 0; s < tile / parts; ++s) {
      const float weight = expf(score[s] - largest);
      weights[row * tile + part + s * parts] = weight;
      sum += weight;
    }
    __syncwarp();  // the weights of this warp's four queries are there
    SIMT_UNROLL
    for (int o = 0; o < most_columns / parts; ++o) {
      const int c = part + o * parts;
      out[o] *= shrink;
      for (int j = 0; c < d && j < tile; ++j) out[o] = fmaf(weights[row * tile + j], values[j * pitch + c], out[o]);
    }
    //! [running]
  }
  for (int step = 1; step < parts; step *= 2) sum += __shfl_xor_sync(whole_warp, sum, step);
  SIMT_UNROLL
  for (int o = 0; o < most_columns / parts; ++o)
    if (i < n && part + o * parts < d) output[head + i * d + part + o * parts] = bf16(out[o] / sum);
}
//! [tiled]

}  // namespace

void tiled(const Problem& x) {
  const auto numbers = [](const BFloat16* p) { return reinterpret_cast<const bf16*>(p); };
  constexpr size_t bytes = (3 * tile * pitch + tile * tile) * sizeof(float);
  cuda::launch(attend_tile, dim3(unsigned((x.n + tile - 1) / tile), unsigned(x.heads)), dim3(threads), bytes, x.n,
               int(x.d), numbers(x.q), numbers(x.k), numbers(x.v), x.scale, x.causal,
               reinterpret_cast<bf16*>(x.output));
}

}  // namespace gradus::cuda_attention_ladder
