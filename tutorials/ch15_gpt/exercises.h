// What the exercises of chapter 15 ask for.
#pragma once

#include <cstdint>

#include "autograd/ops.h"
#include "tensor/tensor.h"

namespace ch15 {

// Of a self-attention without biases: in_proj (3 features, features), the rows for queries, then keys, then values;
// out_proj (features, features).
struct Weights {
  gradus::Tensor in_proj, out_proj;
  int64_t heads;
};

// Of the places read so far: (batch, heads, places, d), keys rotated to their places. Undefined before the first.
struct Cache {
  gradus::Tensor keys, values;
};

struct Exercises {
  // 15.1 ★ The loss of a language model, (): the mean of -log p of each token that the text has behind another.
  // logits (batch, n, vocabulary): at place i the scores of the token at place i + 1. tokens (batch, n) int64: what was
  // read. Nothing is known of what follows the last place.
  gradus::Tensor (*loss)(const gradus::Tensor& logits, const gradus::Tensor& tokens);

  // 15.2 ★ The token that u, of [0, 1), draws from `probabilities` (vocabulary): the first at which the sum of them
  // exceeds u. A token of probability zero is never drawn, even where rounding leaves the sum of all just below u.
  int64_t (*draw)(const gradus::Tensor& probabilities, double u);

  // 15.3 ★★ The probabilities float64 (vocabulary) to draw from: softmax of logits / temperature, then among the top_k
  // likeliest only (0: all; among equals the first ones), then among the fewest of those that have top_p of their sum.
  // The rest get zero, and what is left sums to one. logits (vocabulary) float64, temperature > 0, 0 < top_p <= 1.
  gradus::Tensor (*filter)(const gradus::Tensor& logits, double temperature, int64_t top_k, double top_p);

  // 15.4 ★★★ Causal self-attention of the next n places, x (batch, n, features), to themselves and to all before them,
  // with rotary positions: the output (batch, n, features). Puts their keys and values behind those of the cache.
  gradus::Tensor (*decode)(const gradus::Tensor& x, const Weights& w, Cache& cache);
};

}  // namespace ch15
