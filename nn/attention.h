// Attention: which parts of a memory a query looks at. The functions are in autograd/ops.h.
#pragma once

#include "nn/dropout.h"
#include "nn/linear.h"

namespace gradus::nn {

// How a query q and a key k are compared.
enum class Score {
  dot,         // q . k
  scaled_dot,  // q . k / sqrt(d)
  general,     // q W k: Luong, Pham and Manning 2015, section 3.1
  additive,    // v . tanh(W q + U k): Bahdanau, Cho and Bengio 2015, appendix A.1.2; "concat" in Luong et al.
};
const char* to_string(Score score);

struct ScoredAttentionOptions {
  Score score = Score::scaled_dot;
  int64_t hidden = 0;     // of the additive score; 0: as many as the query's features
  bool coverage = false;  // the additive score also sees how much of each place was looked at so far: Tu et al. 2016
};

// One head that looks with each query at a memory whose vectors are keys and values at once, as in recurrent seq2seq.
class ScoredAttention : public Module {
 public:
  Tensor weight;  // general: (query_dim, memory_dim)
  // dot and scaled_dot need query_dim == memory_dim; throws Error otherwise.
  ScoredAttention(int64_t query_dim, int64_t memory_dim, const ScoredAttentionOptions& options = {});

  // What of the memory's part in the score is the same for every query: computed once for a sentence, and given to the
  // call at each step. (batch, keys, ...).
  Tensor prepare(const Tensor& memory) const;
  // (batch, queries, keys), not yet normalised.
  Tensor scores(const Tensor& query, const Tensor& memory, const Tensor& prepared = {},
                const Tensor& coverage = {}) const;
  // query (batch, queries, query_dim), memory (batch, keys, memory_dim), keep broadcasting to (batch, queries, keys).
  // The output is (batch, queries, memory_dim). coverage (batch, queries, keys): the sum of the weights so far.
  Attended operator()(const Tensor& query, const Tensor& memory, const std::optional<KeepMask>& keep = {},
                      const Tensor& prepared = {}, const Tensor& coverage = {}) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "ScoredAttention"; }
  std::string describe() const override;

 private:
  Score score_;
  std::optional<Linear> query_, key_, v_, cover_;  // additive
};

// Keys and values of the places seen so far, for decoding one token at a time. Reordering, as beam search does, moves
// rows.
class KeyValueCache {
 public:
  // Adds (batch, heads, n, d) behind what is there; returns all of it.
  std::pair<Tensor, Tensor> append(const Tensor& keys, const Tensor& values);
  int64_t length() const { return length_; }
  std::pair<Tensor, Tensor> all() const;
  void reorder(const Tensor& rows);

 private:
  Tensor keys_, values_;  // with room to grow
  int64_t length_ = 0;
};

struct MultiheadOptions {
  double dropout = 0;  // of the weights
  bool bias = true;
  int64_t kv_heads = 0;        // heads of keys and values: Ainslie et al. 2023; 0: as many as of queries
  int64_t kdim = 0, vdim = 0;  // features of keys and values; 0: embed_dim
  bool rotary = false;         // rotary positions on queries and keys
};

struct MultiheadCall {
  std::optional<KeepMask> keep = {};  // broadcasts to (batch, heads, query, key)
  bool is_causal = false;             // besides, as AttentionOptions has it
  Tensor bias = {};                   // likewise
  bool need_weights = false;
  KeyValueCache* cache = nullptr;  // keys and values go behind those it holds; under NoGrad
};

// Vaswani et al. 2017, section 3.2.2, with PyTorch's weights: in_proj_weight (3 embed_dim, embed_dim), or
// q_proj_weight, k_proj_weight and v_proj_weight where keys and values are of other sizes, in_proj_bias, and out_proj.
// Batches come first: query (batch, queries, embed_dim), key (batch, keys, kdim), value (batch, keys, vdim).
class MultiheadAttention : public Module {
 public:
  Tensor in_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, in_proj_bias;
  LowRank lora;  // of in_proj_weight
  Linear out_proj;

  // Throws Error unless heads divides embed_dim and kv_heads divides heads.
  MultiheadAttention(int64_t embed_dim, int64_t heads, const MultiheadOptions& options = {});

  // weights (batch, heads, queries, keys), undefined unless asked for.
  Attended operator()(const Tensor& x, const MultiheadCall& options = {}) const;  // of x to itself
  Attended operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                      const MultiheadCall& options = {}) const;
  // With keys and values that were projected before: a decoder's view of the encoder is the same at every step.
  Attended operator()(const Tensor& query, const KeyValueCache& memory, const MultiheadCall& options = {}) const;
  KeyValueCache project(const Tensor& key, const Tensor& value) const;

  int64_t heads() const { return heads_; }
  void visit(Visitor& v) override;
  const char* type() const override { return "MultiheadAttention"; }
  std::string describe() const override;

 private:
  enum Part { query_part, key_part, value_part };
  // x times these rows of in_proj_weight.
  Tensor packed(const Tensor& x, int64_t first, int64_t rows) const;
  // (batch, n, features) to (batch, heads, n, head_dim).
  Tensor projected(const Tensor& x, Part part) const;
  std::pair<Tensor, Tensor> projected_keys_and_values(const Tensor& key, const Tensor& value) const;
  Tensor split_heads(const Tensor& x) const;
  Attended finish(Tensor query, Tensor key, const Tensor& value, const MultiheadCall& options) const;
  Attended combine(const Tensor& query, const Tensor& key, const Tensor& value, const MultiheadCall& options) const;
  int64_t rows_before(Part part) const;  // of in_proj_bias, and of in_proj_weight

  int64_t embed_dim_, heads_, kv_heads_;
  MultiheadOptions options_;
};

}  // namespace gradus::nn
