// Rung 2, fused: one kernel, a block for each query, and no matrix: of the keys so far a query knows the largest score
// and two sums.
//
// A softmax seems to need all scores, for the largest, before the first weight. It does not (Milakov and Gimelshein
// 2018, algorithm 3): with m the largest so far, s the sum of exp(score - m) and o the sum of exp(score - m) value,
// keys with a larger score m' make them exp(m - m') s and exp(m - m') o, and it goes on from there. In the end o / s is
// the answer. So 128 keys at a time are scored, one by each thread, and done with. In a causal call the keys behind the
// query are not looked at, which is half of all.
//
// What holds it back: every query reads all keys and values for itself, 4 n d bytes for 4 n d operations: one for each
// byte, where an H100's float32 units could do 20 for each byte that its memory brings. Its second cache is what
// carries that. And a thread reads a row of k by itself: at one time the 32 threads of a warp read from 32 rows, 2 d
// bytes apart, so each load takes 32 accesses to the first cache where one would do.
#include "tensor/kernels/cuda/kernels.h"
#include "tutorials/ladders/cuda_attention/attention.h"

namespace gradus::cuda_attention_ladder {
namespace {

using cuda::bf16;

constexpr int threads = 128;

//! [fused]
__global__ void __launch_bounds__(threads) attend_query(int64_t n, int64_t d, const bf16* q, const bf16* k,
                                                        const bf16* v, float scale, bool causal, bf16* output) {
  SIMT_SHARED(float, query, [threads]);
  SIMT_SHARED(float, scores, [threads]);
  const int64_t i = blockIdx.x, head = blockIdx.y, seen = causal ? i + 1 : n;
  const int thread = int(threadIdx.x);
  if (thread < d) query[thread] = float(q[(head * n + i) * d + thread]);
  float largest = -INFINITY, sum = 0, out = 0;  // out: of column `thread`
  for (int64_t first = 0; first < seen; first += threads) {
    __syncthreads();  // the query is there, the scores before were used
    const int64_t j = first + thread;
    float score = 0;
    for (int64_t c = 0; j < seen && c < d; ++c) score = fmaf(query[c], float(k[(head * n + j) * d + c]), score);
    scores[thread] = j < seen ? scale * score : -INFINITY;
    __syncthreads();
    float top = largest;
    for (int other = 0; other < threads; ++other) top = fmaxf(top, scores[other]);
    const float shrink = expf(largest - top);  // 0 at first
    largest = top, sum *= shrink, out *= shrink;
    for (int other = 0; other < threads && first + other < seen; ++other) {
      const float weight = expf(scores[other] - largest);
      sum += weight;
      if (thread < d) out = fmaf(weight, float(v[(head * n + first + other) * d + thread]), out);
    }
  }
  if (thread < d) output[(head * n + i) * d + thread] = bf16(out / sum);
}
//! [fused]

}  // namespace

void fused(const Problem& x) {
  const auto numbers = [](const BFloat16* p) { return reinterpret_cast<const bf16*>(p); };
  cuda::launch(attend_query, dim3(unsigned(x.n), unsigned(x.heads)), dim3(threads), 0, x.n, x.d, numbers(x.q),
               numbers(x.k), numbers(x.v), x.scale, x.causal, reinterpret_cast<bf16*>(x.output));
}

}  // namespace gradus::cuda_attention_ladder
