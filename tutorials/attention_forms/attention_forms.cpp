#include "tutorials/attention_forms/attention_forms.h"

#include "nn/init.h"

namespace gradus::attention_forms {

LocalAttention::LocalAttention(int64_t query_dim, int64_t memory_dim, int64_t half_window)
    : place(query_dim, query_dim, {.bias = false}),
      v(query_dim, 1, {.bias = false}),
      score(query_dim, memory_dim, {.score = Score::general}),
      window(half_window) {
  check(window > 0, "LocalAttention: a window of ", window);
}

Attended LocalAttention::operator()(const Tensor& query, const Tensor& memory, const Tensor& lengths) const {
  Call call(*this);
  const int64_t n = memory.size(1);
  const Tensor last = (lengths.defined() ? lengths.to(query.dtype()) : full({1}, double(n), query.options())) - 1.0;
  const Tensor centre = sigmoid(v(tanh(place(query)))) * last.unsqueeze(1).unsqueeze(1);  // (batch, queries, 1)
  const Tensor distance = arange(0, double(n), 1, query.options()) - centre;              // (batch, queries, keys)
  KeepMask keep(abs(distance) <= double(window));
  if (lengths.defined()) keep = keep & KeepMask(padding_mask(lengths, n).kept.squeeze(1));
  const double deviation = double(window) / 2;
  const Tensor near = exp(square(distance) * (-0.5 / (deviation * deviation)));
  const Tensor weights = masked_softmax(score.scores(query, memory), keep) * near;
  return {call(matmul(weights, memory)), weights};
}

void LocalAttention::visit(Visitor& visitor) {
  visitor("place", place);
  visitor("v", v);
  visitor("score", score);
}

LowRankAttention::LowRankAttention(int64_t embed_dim, int64_t heads, int64_t length, int64_t rank)
    : attention(embed_dim, heads) {
  check(length > 0 && rank > 0, "LowRankAttention: length ", length, " and rank ", rank, " must be positive");
  mix_keys = xavier_uniform_(empty({rank, length}, {.requires_grad = true}));
  mix_values = xavier_uniform_(empty({rank, length}, {.requires_grad = true}));
}

//! [low rank]
Attended LowRankAttention::operator()(const Tensor& x, bool need_weights) const {
  Call call(*this);
  const int64_t n = x.size(1);
  check(n <= mix_keys.size(1), "LowRankAttention: ", n, " places, made for at most ", mix_keys.size(1));
  // Mixing places and projecting features may change places: (E x) W = E (x W).
  Attended a = attention(x, matmul(mix_keys.narrow(1, 0, n), x), matmul(mix_values.narrow(1, 0, n), x),
                         {.need_weights = need_weights});
  a.output = call(a.output);
  return a;
}
//! [low rank]

void LowRankAttention::visit(Visitor& v) {
  v("attention", attention);
  v("mix_keys", mix_keys);
  v("mix_values", mix_values);
}

HardAttention::HardAttention(int64_t query_dim, int64_t memory_dim, double temperature)
    : score(query_dim, memory_dim, {.score = Score::general}), tau(temperature) {
  check(tau > 0, "HardAttention: temperature ", tau, " must be positive");
}

//! [hard attention]
Attended HardAttention::operator()(const Tensor& query, const Tensor& memory,
                                   const std::optional<KeepMask>& keep) const {
  Call call(*this);
  Tensor s = score.scores(query, memory);
  if (keep) s = s.masked_fill(logical_not(keep->kept), -1e30);
  Tensor weights = training() ? gumbel_softmax(s, tau, true) : one_hot(s.argmax(-1), s.size(-1)).to(s.dtype());
  if (keep) weights = weights.masked_fill(logical_not(keep->kept), 0);
  return {call(matmul(weights, memory)), weights};
}
//! [hard attention]

}  // namespace gradus::attention_forms
