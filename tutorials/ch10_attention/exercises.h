// What the reader of chapter 10 writes: the parts of attention in a translator, and two gradients by hand.
#pragma once

#include "tensor/tensor.h"

namespace ch10 {

// Of scores v . tanh(q + k), the gradients of what they were made from.
struct AdditiveGradients {
  gradus::Tensor query;  // (batch, queries, hidden)
  gradus::Tensor key;    // (batch, places, hidden)
  gradus::Tensor v;      // (hidden)
};

struct Exercises {
  // 10.1 ★ Which places of padded sentences hold a word: a mask for scores (batch, queries, places).
  // tokens (batch, places) int64. Returns (batch, 1, places) bool, true where a token is not `pad`.
  gradus::Tensor (*word_mask)(const gradus::Tensor& tokens, int64_t pad);

  // 10.2 ★★ The softmax among the places that are kept, by exp. scores (batch, queries, places), keep (batch, 1,
  // places) bool. Returns (batch, queries, places); a row that keeps nothing is zero, and so is its gradient.
  gradus::Tensor (*kept_softmax)(const gradus::Tensor& scores, const gradus::Tensor& keep);

  // 10.3 ★★ The gradient of the scores. weights (batch, queries, places): what kept_softmax returned; g: their
  // gradient, of the same shape. Returns (batch, queries, places).
  gradus::Tensor (*kept_softmax_gradient)(const gradus::Tensor& weights, const gradus::Tensor& g);

  // 10.4 ★★ One step of a decoder, with the general score h W m and tanh(C [context; h]). state (batch, d), memory
  // (batch, places, m), keep (batch, places) bool, w (d, m), c (d, m + d). Returns (batch, d).
  gradus::Tensor (*attention_step)(const gradus::Tensor& state, const gradus::Tensor& memory,
                                   const gradus::Tensor& keep, const gradus::Tensor& w, const gradus::Tensor& c);

  // 10.5 ★★★ The gradients of scores = v . tanh(query + key), each query with each key. query (batch, queries, hidden),
  // key (batch, places, hidden), v (hidden), g (batch, queries, places): the gradient of the scores.
  AdditiveGradients (*additive_gradients)(const gradus::Tensor& query, const gradus::Tensor& key,
                                          const gradus::Tensor& v, const gradus::Tensor& g);
};

}  // namespace ch10
