// Three forms of attention that no program here uses, each a few lines beside what nn/attention.h has: local, low-rank
// and hard.
#pragma once

#include "nn/attention.h"

namespace gradus::attention_forms {

using namespace nn;

// Looks at 2 window + 1 keys around a place it predicts: (S - 1) sigmoid(v . tanh(W q)), S the length of the memory,
// places counted from 0; the weights fall off from there as a normal distribution of deviation window / 2: Luong et
// al. 2015, section 3.2, local-p. Scores are `general`.
struct LocalAttention : Module {
  Linear place, v;
  ScoredAttention score;
  int64_t window;
  LocalAttention(int64_t query_dim, int64_t memory_dim, int64_t half_window);
  // lengths (batch) int64, or undefined where every memory is full.
  Attended operator()(const Tensor& query, const Tensor& memory, const Tensor& lengths = {}) const;
  void visit(Visitor& visitor) override;
  const char* type() const override { return "LocalAttention"; }
};

// Self-attention whose cost grows with the length instead of its square: keys and values are mixed down to `rank`
// places by learned matrices (rank, length): Wang et al. 2020, "Linformer", section 4, E and F shared by all heads.
// Every input has at most `length` places.
struct LowRankAttention : Module {
  MultiheadAttention attention;
  Tensor mix_keys, mix_values;  // (rank, length)
  LowRankAttention(int64_t embed_dim, int64_t heads, int64_t length, int64_t rank);
  // x (batch, n, embed_dim); padded places must be zero.
  Attended operator()(const Tensor& x, bool need_weights = false) const;
  void visit(Visitor& v) override;
  const char* type() const override { return "LowRankAttention"; }
};

// Looks at one place, drawn at random when training (with a gradient by Gumbel-softmax, straight through) and the most
// likely one when evaluating: "hard" attention, Xu et al. 2015, section 4.1.
struct HardAttention : Module {
  ScoredAttention score;
  double tau;
  HardAttention(int64_t query_dim, int64_t memory_dim, double temperature = 1);
  Attended operator()(const Tensor& query, const Tensor& memory, const std::optional<KeepMask>& keep = {}) const;
  void visit(Visitor& v) override { v("score", score); }
  const char* type() const override { return "HardAttention"; }
};

}  // namespace gradus::attention_forms
