// Rung 1, naive: the definition, with all scores of a head in a matrix (n, n).
//
// Scores, softmax, sums of values: 2 n^2 d operations for the first, as many for the last, 4 n^2 d in all, and n^2
// exponentials. A softmax that divides by sum exp(score) overflows from a score of 89 on; so the largest score of the
// row is taken off first, which changes no weight: exp(s - m) / sum exp(s - m) = exp(s) / sum exp(s).
//
// What holds it back:
//  - The sums: each addition waits for the one before, some 4 cycles, so 2 operations take as long as 64 could (see
//    rung 1 of ../cpu_gemm). And values are read down their columns, 4 bytes of each line of 64.
//  - The matrix: 4 n^2 bytes, 4 MB for n = 1024, written, changed and read again. For n = 16384 it is 1 GB.
#include <algorithm>
#include <cmath>

#include "tutorials/ladders/cpu_attention/attention.h"

namespace gradus::attention_ladder {
namespace {

//! [naive]
void attend(const Problem& x, float* weights) {
  for (int64_t i = 0; i < x.n; ++i) {
    for (int64_t j = 0; j < x.seen(i); ++j) {
      float sum = 0;
      for (int64_t c = 0; c < x.d; ++c) sum += x.q[i * x.d + c] * x.k[j * x.d + c];
      weights[i * x.n + j] = x.scale * sum;
    }
  }
  for (int64_t i = 0; i < x.n; ++i) {
    float *row = weights + i * x.n, *end = row + x.seen(i), sum = 0;
    const float largest = *std::max_element(row, end);
    for (float* w = row; w < end; ++w) sum += * w = std::exp(*w - largest);
    for (float* w = row; w < end; ++w) *w /= sum;
  }
  for (int64_t i = 0; i < x.n; ++i) {
    for (int64_t c = 0; c < x.d; ++c) {
      float sum = 0;
      for (int64_t j = 0; j < x.seen(i); ++j) sum += weights[i * x.n + j] * x.v[j * x.d + c];
      x.output[i * x.d + c] = sum;
    }
  }
}
//! [naive]

}  // namespace

void naive(const Problem& x) {
  const Floats weights(x.n * x.n);
  for (int64_t h = 0; h < x.heads; ++h) attend(x.head(h), weights.data());
}

}  // namespace gradus::attention_ladder
