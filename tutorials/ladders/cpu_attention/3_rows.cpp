// Rung 3, rows: one query after the other, whose n scores are all that is kept.
//
// No query needs another's scores. So the matrix shrinks to a row: 4 n bytes, 4 KB for n = 1024, which stay in the
// first cache of 32 KB; of memory there is nothing to write but the output. The row is gone through twice, for the
// largest score and then for exponentials and values. It is faster than rung 1 for two more reasons: a score is 16 sums
// beside each other, four vectors of SSE2 or NEON; and a value's whole row is added to the output's at once, as in rung
// 2 of ../cpu_gemm. The division comes last, d times a query instead of n times.
//
// What holds it back: each query reads all keys and values, 8 n d bytes for 4 n d operations: 2 bytes an operation. Of
// d = 64 and n = 1024 they are 512 KB, too many for the first cache. From a second one, at 32 bytes a cycle, no more
// than 16 operations a cycle can come; where the keys of a head outgrow that too, n above 2000, far fewer. And a row of
// n scores may grow without end, though slowly.
#include <algorithm>
#include <cmath>

#include "tutorials/ladders/cpu_attention/attention.h"

namespace gradus::attention_ladder {
namespace {

#include "tutorials/ladders/cpu_attention/3_rows.inl"

//! [rows]
void attend(const Problem& x, int64_t query, float* scores) {
  const float* q = x.q + query * x.d;
  float *output = x.output + query * x.d, sum = 0;
  const int64_t seen = x.seen(query);
  for (int64_t j = 0; j < seen; ++j) scores[j] = x.scale * dot(q, x.k + j * x.d, x.d);
  const float largest = *std::max_element(scores, scores + seen);
  std::fill_n(output, x.d, 0.0f);
  for (int64_t j = 0; j < seen; ++j) {
    const float weight = std::exp(scores[j] - largest);
    sum += weight;
    add_row(weight, x.v + j * x.d, x.d, output);
  }
  for (int64_t c = 0; c < x.d; ++c) output[c] /= sum;
}
//! [rows]

}  // namespace

void rows(const Problem& x) {
  const Floats scores(x.n);
  for (int64_t h = 0; h < x.heads; ++h) {
    for (int64_t i = 0; i < x.n; ++i) attend(x.head(h), i, scores.data());
  }
}

}  // namespace gradus::attention_ladder
