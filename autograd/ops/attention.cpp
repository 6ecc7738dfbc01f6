#include <cmath>

#include "autograd/ops/common.h"

namespace gradus {

namespace {

Tensor checked_mask(const char* type, const Tensor& mask) {
  check(mask.dtype() == boolean, type, ": needs a bool tensor, got ", mask.dtype());
  return mask;
}

// Where each query stands among the keys, its place being that of one of the last: (queries, 1), and all keys (keys).
std::pair<Tensor, Tensor> places(const char* op, int64_t queries, int64_t keys) {
  check(queries >= 0 && keys >= queries, op, ": ", queries, " queries are not the last of ", keys, " keys");
  return {arange(queries).unsqueeze(1) + double(keys - queries), arange(keys)};
}

// A number that no score reaches; less a maximum that is a score, its exponential is 0.
constexpr double hidden = -1e30;

Tensor weights_of(const Tensor& scores, const AttentionOptions& o) {
  Tensor biased = o.bias.defined() ? scores + match("attention", o.bias, scores) : scores;
  Tensor weights = o.keep ? masked_softmax(biased, *o.keep) : softmax(biased, -1);
  return dropout(weights, o.dropout);
}

// (..., heads, n, d) as (..., kv_heads, heads / kv_heads, n, d).
Tensor grouped(const Tensor& x, int64_t kv_heads) { return x.unflatten(-3, {kv_heads, x.size(-3) / kv_heads}); }

// A mask or bias for that many dimensions, where it has heads of its own.
Tensor grouped_like(const Tensor& mask, int64_t kv_heads) {
  if (!mask.defined() || mask.dim() < 3) return mask;
  return mask.size(-3) == 1 ? mask.unsqueeze(-3) : grouped(mask, kv_heads);
}

}  // namespace

DropMask::DropMask(const Tensor& mask) : dropped(checked_mask("DropMask", mask)) {}
KeepMask::KeepMask(const Tensor& mask) : kept(checked_mask("KeepMask", mask)) {}
KeepMask::KeepMask(const DropMask& mask) : kept(logical_not(mask.dropped)) {}
KeepMask operator&(const KeepMask& a, const KeepMask& b) { return KeepMask(logical_and(a.kept, b.kept)); }

KeepMask causal_mask(int64_t queries, int64_t keys) {
  const auto [query, key] = places("causal_mask", queries, keys);
  return KeepMask(key <= query);
}

KeepMask window_mask(int64_t queries, int64_t keys, int64_t before, int64_t after) {
  check(before >= 0 && after >= 0, "window_mask: ", before, " places before and ", after, " behind");
  const auto [query, key] = places("window_mask", queries, keys);
  return KeepMask(logical_and(key >= query - double(before), key <= query + double(after)));
}

KeepMask padding_mask(const Tensor& lengths, int64_t keys) {
  check(lengths.dim() == 1 && lengths.dtype() == int64, "padding_mask: lengths must be (batch) of int64, got ",
        lengths.shape(), " of ", lengths.dtype());
  return KeepMask((arange(keys) < lengths.unsqueeze(1)).unsqueeze(1).unsqueeze(1));
}

Tensor masked_softmax(const Tensor& scores, const KeepMask& keep) {
  const Tensor drop = logical_not(keep.kept);
  // Where nothing is kept the softmax is of equal numbers; the second fill makes its output and gradient zero.
  return softmax(scores.masked_fill(drop, hidden), -1).masked_fill(drop, 0);
}

Attended attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options) {
  const char* op = "attention";
  check(query.dim() >= 2 && key.dim() == query.dim() && value.dim() == query.dim(), op, ": query ", query.shape(),
        ", key ", key.shape(), " and value ", value.shape(), " must have as many dimensions, two or more");
  check(query.size(-1) == key.size(-1), op, ": query ", query.shape(), " has ", query.size(-1), " features, key ",
        key.shape(), " has ", key.size(-1));
  check(key.size(-2) == value.size(-2), op, ": ", key.size(-2), " keys, but ", value.size(-2), " values");
  if (query.dim() >= 3 && key.size(-3) != query.size(-3) && key.size(-3) > 1) {
    const int64_t heads = query.size(-3), kv_heads = key.size(-3);
    check(value.size(-3) == kv_heads && heads % kv_heads == 0, op, ": ", heads, " heads of the query do not fall to ",
          kv_heads, " of the key and ", value.size(-3), " of the value");
    AttentionOptions o = options;
    if (o.keep) o.keep = KeepMask(grouped_like(o.keep->kept, kv_heads));
    o.bias = grouped_like(o.bias, kv_heads);
    const Attended a = attend(grouped(query, kv_heads), key.unsqueeze(-3), value.unsqueeze(-3), o);
    return {a.output.flatten(-4, -3), a.weights.flatten(-4, -3)};
  }
  const double scale = options.scale.value_or(1 / std::sqrt(double(query.size(-1))));
  const Tensor weights = weights_of(matmul(query * scale, key.transpose(-2, -1)), options);
  return {matmul(weights, value), weights};
}

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const AttentionOptions& options) {
  return attend(query, key, value, options).output;
}

Tensor rotary(const Tensor& x, int64_t first, double base) {
  check(x.dim() >= 2 && x.size(-1) % 2 == 0, "rotary: expected (..., places, an even number), got ", x.shape());
  const int64_t n = x.size(-2), half = x.size(-1) / 2;
  const TensorOptions numbers = {.dtype = float64};
  const Tensor frequency = exp(arange(0, double(half), 1, numbers) * (-std::log(base) / double(half)));
  const Tensor angle = (arange(0, double(n), 1, numbers) + double(first)).unsqueeze(1) * frequency;
  const Tensor c = cos(angle).to(x.dtype()), s = sin(angle).to(x.dtype());
  const Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
  return cat({a * c - b * s, a * s + b * c}, -1);
}

Tensor alibi_bias(int64_t heads, int64_t queries, int64_t keys) {
  check(heads > 0, "alibi_bias: ", heads, " heads");
  const auto [query, key] = places("alibi_bias", queries, keys);
  const Tensor slopes = exp(arange(1, double(heads) + 1) * (-8 * std::log(2.0) / double(heads)));
  return -abs((query - key).to(float32)) * slopes.unsqueeze(1).unsqueeze(1);
}

Tensor gumbel_softmax(const Tensor& logits, double tau, bool hard, Generator* generator) {
  check(tau > 0, "gumbel_softmax: tau must be positive, got ", tau);
  // -log(-log u), u uniform in (0, 1): 0 would make it infinite.
  const Tensor u = uniform(logits.shape(), 1e-20, 1, logits.options(), generator);
  const Tensor soft = softmax((logits - log(-log(u))) / tau, -1);
  if (!hard) return soft;
  const Tensor chosen = one_hot(soft.detach().argmax(-1), soft.size(-1)).to(soft.dtype());
  return chosen - soft.detach() + soft;
}

}  // namespace gradus
