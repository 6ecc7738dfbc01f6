// Rung 4, online: keys go by once, in tiles of 64; of those before, a query knows the largest score and a sum.
//
// A softmax seems to need all scores, for the largest, before the first weight. It does not (Milakov and Gimelshein
// 2018, algorithm 3): with m the largest so far, s the sum of exp(score - m) and o the sum of exp(score - m) value, a
// tile with a larger score m' makes them exp(m - m') s and exp(m - m') o, and goes on from there. In the end o / s is
// the answer, whatever the order. Before the first tile m is -inf, and exp(-inf) = 0 takes away nothing.
//
// The price is 1 exponential and d multiplications for each tile of 64 keys, 1/64 of the work of adding its values. The
// gain is memory: 256 bytes for scores, however long the sequence. In time, nothing yet: rung 3's row was in the first
// cache, too, and each query still reads all keys and values. But a tile of them, 16 KB each, can now be finished with
// before the next is looked at; so many queries may share it, which is rung 5.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tutorials/ladders/cpu_attention/attention.h"

namespace gradus::attention_ladder {
namespace {

#include "tutorials/ladders/cpu_attention/3_rows.inl"

constexpr int64_t tile = 64;

//! [online]
void attend(const Problem& x, int64_t query) {
  const float* q = x.q + query * x.d;
  float* output = x.output + query * x.d;
  float largest = -std::numeric_limits<float>::infinity(), sum = 0;
  std::fill_n(output, x.d, 0.0f);
  for (int64_t first = 0; first < x.seen(query); first += tile) {
    const int64_t keys = std::min(tile, x.seen(query) - first);
    const float *k = x.k + first * x.d, *v = x.v + first * x.d, before = largest;
    float scores[tile];
    for (int64_t j = 0; j < keys; ++j) scores[j] = x.scale * dot(q, k + j * x.d, x.d);
    largest = std::max(before, *std::max_element(scores, scores + keys));
    const float correction = std::exp(before - largest);
    sum *= correction;
    for (int64_t c = 0; c < x.d; ++c) output[c] *= correction;
    for (int64_t j = 0; j < keys; ++j) {
      const float weight = std::exp(scores[j] - largest);
      sum += weight;
      add_row(weight, v + j * x.d, x.d, output);
    }
  }
  for (int64_t c = 0; c < x.d; ++c) output[c] /= sum;
}
//! [online]

}  // namespace

void online(const Problem& x) {
  for (int64_t h = 0; h < x.heads; ++h) {
    for (int64_t i = 0; i < x.n; ++i) attend(x.head(h), i);
  }
}

}  // namespace gradus::attention_ladder
