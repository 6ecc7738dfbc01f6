// What the reader of chapter 09 writes: each function mends an error of an article.
#pragma once

#include "tensor/tensor.h"

namespace ch09 {

// The weights of article A4's text classifier. Matrices are (out, in), as linear(x, weight) takes them.
struct Classifier {
  gradus::Tensor words;              // (vocabulary, d)
  gradus::Tensor query, key, value;  // (heads * width, d)
  gradus::Tensor out;                // (d, heads * width)
  gradus::Tensor answer;             // (1, d)
  int64_t heads;
  int64_t pad;  // the token that fills short sentences
};

struct Exercises {
  // 9.1 ★ The softmax along the last dimension. scores (n) or (queries, n). Returns weights of the same shape.
  gradus::Tensor (*attention_weights)(const gradus::Tensor& scores);

  // 9.2 ★ What one query finds, with scores h . c that are not scaled. query (d), keys (n, d), values (n, d_value).
  // Returns (d_value).
  gradus::Tensor (*context)(const gradus::Tensor& query, const gradus::Tensor& keys, const gradus::Tensor& values);

  // 9.3 ★ The products of each query with each key. queries (m, d), keys (n, d). Returns (m, n).
  gradus::Tensor (*score_matrix)(const gradus::Tensor& queries, const gradus::Tensor& keys);

  // 9.4 ★★ v . tanh(W_q q + W_k k) of each query q and key k. queries (m, d_query), keys (n, d_key),
  // w_query (h, d_query), w_key (h, d_key), v (h). Returns (m, n).
  gradus::Tensor (*additive_scores)(const gradus::Tensor& queries, const gradus::Tensor& keys,
                                    const gradus::Tensor& w_query, const gradus::Tensor& w_key,
                                    const gradus::Tensor& v);

  // 9.5 ★★ The softmax among the keys that are kept. scores (m, n), keep (m, n) bool. Returns (m, n); a row that
  // keeps no key is zero.
  gradus::Tensor (*masked_weights)(const gradus::Tensor& scores, const gradus::Tensor& keep);

  // 9.6 ★★ Scaled self-attention of one head. x (batch, n, d), w_query and w_key (d, d_key), w_value (d, d_value),
  // w_out (d_value, d), each behind x: x W. Returns (batch, n, d).
  gradus::Tensor (*self_attention)(const gradus::Tensor& x, const gradus::Tensor& w_query,
                                   const gradus::Tensor& w_key, const gradus::Tensor& w_value,
                                   const gradus::Tensor& w_out);

  // 9.7 ★★ Undoes a second softmax: twice = softmax(once), where each row of `once` adds up to one. twice (m, n).
  // Returns once (m, n).
  gradus::Tensor (*once_from_twice)(const gradus::Tensor& twice);

  // 9.8 ★★★ Article A4's classifier, for sentences that may be padded: attention of all words to all words, the mean
  // over the words, and the answer's logit. tokens (batch, n) int64; no sentence is empty. Returns (batch).
  gradus::Tensor (*classify)(const gradus::Tensor& tokens, const Classifier& model);
};

}  // namespace ch09
