#include "nn/attention.h"

#include <cmath>

#include "nn/init.h"
#include "nn/repr.h"

namespace gradus::nn {

const char* to_string(Score score) {
  const char* names[] = {"dot", "scaled_dot", "general", "additive"};
  return names[int(score)];
}

// --- one head ------------------------------------------------------------------------------------------------------

ScoredAttention::ScoredAttention(int64_t query_dim, int64_t memory_dim, const ScoredAttentionOptions& options)
    : score_(options.score) {
  check(query_dim > 0 && memory_dim > 0, "ScoredAttention: query_dim ", query_dim, " and memory_dim ", memory_dim,
        " must be positive");
  check(!options.coverage || score_ == Score::additive, "ScoredAttention: only additive scores see a coverage");
  if (score_ == Score::general) {
    weight = xavier_uniform_(empty({query_dim, memory_dim}, {.requires_grad = true}));
  } else if (score_ == Score::additive) {
    const int64_t hidden = options.hidden > 0 ? options.hidden : query_dim;
    query_.emplace(query_dim, hidden, LinearOptions{.bias = false});
    key_.emplace(memory_dim, hidden);
    v_.emplace(hidden, 1, LinearOptions{.bias = false});
    if (options.coverage) cover_.emplace(1, hidden, LinearOptions{.bias = false});
  } else {
    check(query_dim == memory_dim, "ScoredAttention: a ", to_string(score_), " product of ", query_dim, " and ",
          memory_dim, " features");
  }
}

//! [scores]
Tensor ScoredAttention::prepare(const Tensor& memory) const {
  if (score_ == Score::general) return matmul(memory, weight.t());
  return score_ == Score::additive ? (*key_)(memory) : memory;
}

Tensor ScoredAttention::scores(const Tensor& query, const Tensor& memory, const Tensor& prepared,
                               const Tensor& coverage) const {
  const Tensor keys = prepared.defined() ? prepared : prepare(memory);
  if (score_ == Score::additive) {
    const Tensor q = (*query_)(query);
    if (!coverage.defined()) return additive_scores(q, keys, v_->lora.added_to(v_->weight).flatten());
    const Tensor sum = q.unsqueeze(2) + keys.unsqueeze(1) + (*cover_)(coverage.unsqueeze(-1));
    return (*v_)(tanh(sum)).squeeze(-1);  // of (batch, queries, keys, hidden)
  }
  const double scale = score_ == Score::scaled_dot ? 1 / std::sqrt(double(query.size(-1))) : 1;
  return matmul(query * scale, keys.transpose(-2, -1));
}
//! [scores]

//! [scored_attention]
Attended ScoredAttention::operator()(const Tensor& query, const Tensor& memory, const std::optional<KeepMask>& keep,
                                     const Tensor& prepared, const Tensor& coverage) const {
  Call call(*this);
  const Tensor s = scores(query, memory, prepared, coverage);
  const Tensor weights = keep ? masked_softmax(s, *keep) : softmax(s, -1);
  return {call(matmul(weights, memory)), weights};
}
//! [scored_attention]

void ScoredAttention::visit(Visitor& v) {
  if (score_ == Score::general) v("weight", weight);
  if (score_ != Score::additive) return;
  v("query", *query_);
  v("key", *key_);
  v("v", *v_);
  if (cover_) v("cover", *cover_);
}

std::string ScoredAttention::describe() const { return std::string("score=") + to_string(score_); }

// --- many heads ----------------------------------------------------------------------------------------------------

std::pair<Tensor, Tensor> KeyValueCache::append(const Tensor& keys, const Tensor& values) {
  const int64_t n = keys.size(2), room = keys_.defined() ? keys_.size(2) : 0;
  if (length_ + n > room) {
    // Twice as long each time, so that a sentence costs time in its length.
    const auto grow = [&](const Tensor& old, const Tensor& more) {
      Shape shape = more.shape();
      shape[2] = std::max<int64_t>(2 * room, std::max<int64_t>(length_ + n, 16));
      Tensor larger = empty(shape, more.options());
      if (old.defined()) larger.narrow(2, 0, length_).copy_(old.narrow(2, 0, length_));
      return larger;
    };
    keys_ = grow(keys_, keys);
    values_ = grow(values_, values);
  }
  keys_.narrow(2, length_, n).copy_(keys);
  values_.narrow(2, length_, n).copy_(values);
  length_ += n;
  return all();
}

std::pair<Tensor, Tensor> KeyValueCache::all() const {
  return {keys_.narrow(2, 0, length_), values_.narrow(2, 0, length_)};
}

void KeyValueCache::reorder(const Tensor& rows) {
  if (!keys_.defined()) return;
  keys_ = keys_.index_select(0, rows);
  values_ = values_.index_select(0, rows);
}

MultiheadAttention::MultiheadAttention(int64_t embed_dim, int64_t heads, const MultiheadOptions& options)
    : out_proj(embed_dim, embed_dim, {.bias = options.bias}),
      embed_dim_(embed_dim),
      heads_(heads),
      kv_heads_(options.kv_heads > 0 ? options.kv_heads : heads),
      options_(options) {
  check(heads > 0 && embed_dim % heads == 0, "MultiheadAttention: ", heads, " heads do not divide ", embed_dim,
        " features");
  check(heads_ % kv_heads_ == 0, "MultiheadAttention: ", kv_heads_, " heads of keys do not divide ", heads_,
        " of queries");
  check(!options.rotary || embed_dim / heads % 2 == 0,
        "MultiheadAttention: rotary positions need an even number of "
        "features in a head, got ",
        embed_dim / heads);
  if (options_.kdim == 0) options_.kdim = embed_dim;
  if (options_.vdim == 0) options_.vdim = embed_dim;
  const auto made = [](int64_t out, int64_t in) {
    return xavier_uniform_(empty({out, in}, {.requires_grad = true}));
  };
  const int64_t kv = kv_heads_ * (embed_dim / heads);
  if (options_.kdim == embed_dim && options_.vdim == embed_dim) {
    in_proj_weight = made(embed_dim + 2 * kv, embed_dim);
  } else {
    q_proj_weight = made(embed_dim, embed_dim);
    k_proj_weight = made(kv, options_.kdim);
    v_proj_weight = made(kv, options_.vdim);
  }
  if (!options.bias) return;
  in_proj_bias = zeros({embed_dim + 2 * kv}, {.requires_grad = true});
  zeros_(out_proj.bias);
}

int64_t MultiheadAttention::rows_before(Part part) const {
  const int64_t kv = kv_heads_ * (embed_dim_ / heads_);
  return part == query_part ? 0 : embed_dim_ + (part == value_part ? kv : 0);
}

Tensor MultiheadAttention::split_heads(const Tensor& x) const {
  const int64_t d = embed_dim_ / heads_;
  return x.unflatten(-1, {x.size(-1) / d, d}).transpose(1, 2);
}

Tensor MultiheadAttention::packed(const Tensor& x, int64_t first, int64_t rows) const {
  const Tensor bias = in_proj_bias.defined() ? in_proj_bias.narrow(0, first, rows) : Tensor();
  return lora(linear(x, in_proj_weight.narrow(0, first, rows), bias), x, first);
}

Tensor MultiheadAttention::projected(const Tensor& x, Part part) const {
  const int64_t first = rows_before(part);
  const int64_t rows = part == query_part ? embed_dim_ : kv_heads_ * (embed_dim_ / heads_);
  if (in_proj_weight.defined()) return split_heads(packed(x, first, rows));
  const Tensor weight = part == query_part ? q_proj_weight : part == key_part ? k_proj_weight : v_proj_weight;
  return split_heads(linear(x, weight, in_proj_bias.defined() ? in_proj_bias.narrow(0, first, rows) : Tensor()));
}

std::pair<Tensor, Tensor> MultiheadAttention::projected_keys_and_values(const Tensor& key,
                                                                        const Tensor& value) const {
  const bool same = key.storage() == value.storage() && key.node() == value.node() && key.shape() == value.shape() &&
                    key.strides() == value.strides() && key.layout().offset == value.layout().offset;
  if (!same || !in_proj_weight.defined()) return {projected(key, key_part), projected(value, value_part)};
  // One memory for both, in one product.
  const int64_t first = rows_before(key_part), rows = rows_before(value_part) - first;
  const Tensor both = packed(key, first, 2 * rows);
  return {split_heads(both.narrow(-1, 0, rows)), split_heads(both.narrow(-1, rows, rows))};
}

KeyValueCache MultiheadAttention::project(const Tensor& key, const Tensor& value) const {
  Call call(*this);
  KeyValueCache cache;
  const auto [k, v] = projected_keys_and_values(key, value);
  cache.append(k, v);
  return cache;
}

Attended MultiheadAttention::operator()(const Tensor& x, const MultiheadCall& options) const {
  if (!in_proj_weight.defined()) return (*this)(x, x, x, options);
  Call call(*this);
  check(x.dim() == 3, "attention: x ", x.shape(), " must be (batch, places, features)");
  const int64_t kv = kv_heads_ * (embed_dim_ / heads_);
  const Tensor all = lora(linear(x, in_proj_weight, in_proj_bias), x);
  const std::vector<Tensor> parts = all.split(Dims{embed_dim_, kv, kv}, -1);
  Attended a = finish(split_heads(parts[0]), split_heads(parts[1]), split_heads(parts[2]), options);
  a.output = call(a.output);
  return a;
}

Attended MultiheadAttention::operator()(const Tensor& query, const Tensor& key, const Tensor& value,
                                        const MultiheadCall& options) const {
  Call call(*this);
  check(query.dim() == 3 && key.dim() == 3 && value.dim() == 3, "attention: query ", query.shape(), ", key ",
        key.shape(), " and value ", value.shape(), " must be (batch, places, features)");
  const auto [k, v] = projected_keys_and_values(key, value);
  Attended a = finish(projected(query, query_part), k, v, options);
  a.output = call(a.output);
  return a;
}

Attended MultiheadAttention::finish(Tensor q, Tensor k, const Tensor& v, const MultiheadCall& options) const {
  if (options_.rotary) {
    const int64_t first = options.cache ? options.cache->length() : 0;
    q = rotary(q, first);
    k = rotary(k, first);
  }
  if (!options.cache) return combine(q, k, v, options);
  const auto [keys, values] = options.cache->append(k, v);
  return combine(q, keys, values, options);
}

Attended MultiheadAttention::operator()(const Tensor& query, const KeyValueCache& memory,
                                        const MultiheadCall& options) const {
  Call call(*this);
  const auto [k, v] = memory.all();
  Attended a = combine(projected(query, query_part), k, v, options);
  a.output = call(a.output);
  return a;
}

//! [combine]
Attended MultiheadAttention::combine(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const MultiheadCall& options) const {
  const AttentionOptions o = {.keep = options.keep,
                              .is_causal = options.is_causal,
                              .bias = options.bias,
                              .dropout = training() ? options_.dropout : 0};
  Attended a;
  if (options.need_weights)
    a = attend(q, k, v, o);
  else
    a.output = scaled_dot_product_attention(q, k, v, o);
  a.output = out_proj(a.output.transpose(1, 2).flatten(2, 3));
  return a;
}
//! [combine]

void MultiheadAttention::visit(Visitor& v) {
  v("in_proj_weight", in_proj_weight);
  v("q_proj_weight", q_proj_weight);
  v("k_proj_weight", k_proj_weight);
  v("v_proj_weight", v_proj_weight);
  v("in_proj_bias", in_proj_bias);
  lora.visit(v);
  v("out_proj", out_proj);
}

std::string MultiheadAttention::describe() const {
  std::string text = "embed_dim=" + std::to_string(embed_dim_) + ", heads=" + std::to_string(heads_);
  if (kv_heads_ != heads_) text += ", kv_heads=" + std::to_string(kv_heads_);
  if (options_.rotary) text += ", rotary";
  return text;
}

}  // namespace gradus::nn
