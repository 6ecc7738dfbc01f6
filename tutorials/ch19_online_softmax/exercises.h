// The exercises of chapter 19: attention without a matrix of all weights, forward and backward. All in float64.
#pragma once

#include "tensor/tensor.h"

namespace ch19 {

// What is known of some keys: with m the largest score, the sum of exp(score - m), and that of exp(score - m) value.
// Of no keys: -infinity, 0 and zeros.
struct Running {
  double largest, sum;
  gradus::Tensor output;  // (features)
};

struct Result {
  gradus::Tensor output;   // (m, features)
  gradus::Tensor log_sum;  // (m): log of the sum of exp(score)
};

struct AttentionGradients {
  gradus::Tensor q, k, v;  // each like what it is the gradient of
};

// Scores are products of queries and keys times 1 / sqrt(d). At most `tile` keys, and queries, are looked at together.
struct Exercises {
  // 19.1 ★ What is known of the keys of a and b together.
  Running (*merge)(const Running& a, const Running& b);

  // 19.2 ★★ The output for one query, keys going by in tiles. q (d), k (n, d), v (n, features). Returns (features).
  gradus::Tensor (*attend_query)(const gradus::Tensor& q, const gradus::Tensor& k, const gradus::Tensor& v,
                                 int64_t tile);

  // 19.3 ★★ Causal attention of m queries, which are the last of n keys: query i sees the keys up to i + n - m. q (m,
  // d), k (n, d), v (n, features), n >= m. No tensor of m x n numbers is ever made.
  Result (*attend_causal)(const gradus::Tensor& q, const gradus::Tensor& k, const gradus::Tensor& v, int64_t tile);

  // 19.4 ★★★ The gradients of sum(g output), g (m, features), of attention without a mask, from its result. q (m, d), k
  // (n, d), v (n, features). No tensor of m x n numbers is ever made.
  AttentionGradients (*gradients)(const gradus::Tensor& q, const gradus::Tensor& k, const gradus::Tensor& v,
                                  const Result& result, const gradus::Tensor& g, int64_t tile);
};

}  // namespace ch19
