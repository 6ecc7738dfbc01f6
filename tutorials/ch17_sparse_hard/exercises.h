// What the exercises of chapter 17 ask for.
#pragma once

#include "tensor/tensor.h"

namespace ch17 {

struct Exercises {
  // 17.1 ★ A Gumbel-softmax sample: logits (..., n), u of the same shape, uniform in (0, 1), tau > 0. Returns the
  // softmax over the last dimension of logits with Gumbel noise -log(-log u), at temperature tau.
  gradus::Tensor (*gumbel_sample)(const gradus::Tensor& logits, const gradus::Tensor& u, double tau);

  // 17.2 ★★ soft (..., n), each row sums to 1. Returns the same shape: in value one-hot, at each row's largest; in
  // gradient soft itself.
  gradus::Tensor (*straight_through)(const gradus::Tensor& soft);

  // 17.3 ★★ Attention in which each query keeps its `count` largest scores and drops the others. q (batch, n, d),
  // k (batch, m, d), v (batch, m, d_v), 1 <= count <= m; scores are divided by the root of d. Returns (batch, n, d_v).
  gradus::Tensor (*top_k_attention)(const gradus::Tensor& q, const gradus::Tensor& k, const gradus::Tensor& v,
                                    int64_t count);

  // 17.4 ★★★ Linformer's attention: q and k (batch, n, d), v (batch, n, d_v); mix_keys and mix_values (rank, length),
  // made for sequences of up to `length` places; one of n places takes their first n columns. Returns (batch, n, d_v).
  // Nothing of n * n numbers is made.
  gradus::Tensor (*low_rank_attention)(const gradus::Tensor& q, const gradus::Tensor& k, const gradus::Tensor& v,
                                       const gradus::Tensor& mix_keys, const gradus::Tensor& mix_values);
};

}  // namespace ch17
