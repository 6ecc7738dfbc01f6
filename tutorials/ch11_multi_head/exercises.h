// What the exercises of chapter 11 ask for.
#pragma once

#include "autograd/ops.h"
#include "tensor/tensor.h"

namespace ch11 {

struct Exercises {
  // 11.1 ★ What one product made for all, packed (batch, places, 3 features), as (3, batch, heads, places, d): queries,
  // keys and values, in heads. The features of a place lie in this order: all queries, all keys, all values; among the
  // queries the first head's d, then the second's. A view: nothing is copied.
  gradus::Tensor (*split_heads)(const gradus::Tensor& packed, int64_t heads);

  // 11.2 ★ bool (queries, keys), true where a query may look: at its own place and those before it. The queries are the
  // last of the keys' places, so that there are at least as many keys as queries.
  gradus::Tensor (*causal_keep)(int64_t queries, int64_t keys);

  // 11.3 ★★ The table of sinusoidal positions, float64 (places, features), features even: at place p, feature 2i is
  // sin(p / 10000^(2i / features)), feature 2i + 1 the cosine of the same angle.
  gradus::Tensor (*sinusoidal)(int64_t places, int64_t features);

  // 11.4 ★★ Multi-head self-attention without biases. x (batch, places, features), in_proj (3 features, features): the
  // rows for queries, then keys, then values; out_proj (features, features); keep (places, places). Returns
  // (batch, places, features). A place that may look at nothing gets zeros.
  gradus::Tensor (*multi_head)(const gradus::Tensor& x, const gradus::Tensor& in_proj, const gradus::Tensor& out_proj,
                               const gradus::KeepMask& keep, int64_t heads);

  // 11.5 ★★★ Rotary positions, in x's shape (..., places, d), d even: at place p, the pair of features i and i + d/2 is
  // turned by the angle p / 10000^(2i / d). The places are first, first + 1, ...
  gradus::Tensor (*rotate)(const gradus::Tensor& x, int64_t first);
};

}  // namespace ch11
