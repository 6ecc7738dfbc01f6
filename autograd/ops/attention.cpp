#include <cmath>

#include "autograd/ops/common.h"

namespace gradus {

namespace {

Tensor checked_mask(const char* type, const Tensor& mask) {
  check(mask.dtype() == boolean, type, ": needs a bool tensor, got ", mask.dtype());
  return mask;
}

// Where each query stands among the keys, its place being that of one of the last: (queries, 1), and all keys (keys).
std::pair<Tensor, Tensor> places(const char* op, int64_t queries, int64_t keys, Device device) {
  check(queries >= 0 && keys >= queries, op, ": ", queries, " queries are not the last of ", keys, " keys");
  const TensorOptions whole{.dtype = int64, .device = device};
  return {arange(0, double(queries), 1, whole).unsqueeze(1) + double(keys - queries),
          arange(0, double(keys), 1, whole)};
}

// A number that no score reaches; less a maximum that is a score, its exponential is 0.
constexpr double hidden = -1e30;

Tensor weights_of(const Tensor& scores, const AttentionOptions& o) {
  Tensor biased = o.bias.defined() ? scores + match("attention", o.bias, scores) : scores;
  std::optional<KeepMask> keep = o.keep;
  if (o.is_causal) {
    const KeepMask causal = causal_mask(scores.size(-2), scores.size(-1), scores.device());
    keep = keep ? *keep & causal : causal;
  }
  return dropout(keep ? masked_softmax(biased, *keep) : softmax(biased, -1), o.dropout);
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

KeepMask causal_mask(int64_t queries, int64_t keys, Device device) {
  const auto [query, key] = places("causal_mask", queries, keys, device);
  return KeepMask(key <= query);
}

KeepMask window_mask(int64_t queries, int64_t keys, int64_t before, int64_t after, Device device) {
  check(before >= 0 && after >= 0, "window_mask: ", before, " places before and ", after, " behind");
  const auto [query, key] = places("window_mask", queries, keys, device);
  return KeepMask(logical_and(key >= query - double(before), key <= query + double(after)));
}

KeepMask padding_mask(const Tensor& lengths, int64_t keys) {
  check(lengths.dim() == 1 && lengths.dtype() == int64, "padding_mask: lengths must be (batch) of int64, got ",
        lengths.shape(), " of ", lengths.dtype());
  return KeepMask((arange(0, double(keys), 1, lengths.options()) < lengths.unsqueeze(1)).unsqueeze(1).unsqueeze(1));
}

//! [masked_softmax]
Tensor masked_softmax(const Tensor& scores, const KeepMask& keep) {
  const Tensor drop = logical_not(keep.kept);
  // Where nothing is kept the softmax is of equal numbers; the second fill makes its output and gradient zero.
  return softmax(scores.masked_fill(drop, hidden), -1).masked_fill(drop, 0);
}
//! [masked_softmax]

namespace {

void check_shapes(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options) {
  const char* op = "attention";
  check_together(op, query, key);
  check_together(op, query, value);
  if (options.keep) check_together(op, query, options.keep->kept);
  check(query.dim() >= 2 && key.dim() == query.dim() && value.dim() == query.dim(), op, ": query ", query.shape(),
        ", key ", key.shape(), " and value ", value.shape(), " must have as many dimensions, two or more");
  check(query.size(-1) == key.size(-1), op, ": query ", query.shape(), " has ", query.size(-1), " features, key ",
        key.shape(), " has ", key.size(-1));
  check(key.size(-2) == value.size(-2), op, ": ", key.size(-2), " keys, but ", value.size(-2), " values");
  if (query.dim() >= 3 && key.size(-3) != query.size(-3) && key.size(-3) > 1) {
    const int64_t heads = query.size(-3), kv_heads = key.size(-3);
    check(value.size(-3) == kv_heads && heads % kv_heads == 0, op, ": ", heads, " heads of the query do not fall to ",
          kv_heads, " of the key and ", value.size(-3), " of the value");
  }
  check(options.dropout >= 0 && options.dropout <= 1, op, ": dropout must be between 0 and 1, got ", options.dropout);
  if (options.is_causal) places(op, query.size(-2), key.size(-2), query.device());
}

double scale_of(const Tensor& query, const AttentionOptions& options) {
  return options.scale.value_or(1 / std::sqrt(double(query.size(-1))));
}

// By ops that have gradients of their own.
Attended composed(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options) {
  if (query.dim() >= 3 && key.size(-3) != query.size(-3) && key.size(-3) > 1) {
    const int64_t kv_heads = key.size(-3);
    AttentionOptions o = options;
    o.scale = scale_of(query, options);
    if (o.keep) o.keep = KeepMask(grouped_like(o.keep->kept, kv_heads));
    o.bias = grouped_like(o.bias, kv_heads);
    const Attended a = composed(grouped(query, kv_heads), key.unsqueeze(-3), value.unsqueeze(-3), o);
    return {a.output.flatten(-4, -3), a.weights.flatten(-4, -3)};
  }
  const Tensor scores = matmul(query * scale_of(query, options), key.transpose(-2, -1));
  const Tensor weights = weights_of(scores, options);
  return {matmul(weights, value), weights};
}

// --- in one kernel -------------------------------------------------------------------------------------------------

// Whether the kernel takes them as they are: one batch, heads of the query that fall evenly to those of key and value,
// and nobody who wants the gradient of the bias, which is a sum over the weights themselves.
bool fits_kernel(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& o) {
  const DType dtype = query.dtype();
  const bool known = dtype == float32 || dtype == float64 || (dtype == bfloat16 && query.device() == Device::cuda);
  if (!known || key.dtype() != dtype || value.dtype() != dtype) return false;
  if (o.bias.defined() && any_requires_grad({o.bias})) return false;
  if (o.dropout > 1 - 0x1p-32) return false;
  for (int d = 0; d + 3 < query.dim(); ++d)
    if (key.size(d) != query.size(d) || value.size(d) != query.size(d)) return false;
  if (query.dim() < 3) return true;
  return key.size(-3) == value.size(-3) && key.size(-3) > 0 && query.size(-3) % key.size(-3) == 0;
}

// As (batch, heads, n, d), the numbers alone.
Tensor four_dims(const Tensor& x) {
  Tensor y = x.detach();
  while (y.dim() < 4) y = y.unsqueeze(0);
  return y.dim() == 4 ? y : y.flatten(0, -4);
}
Tensor with_unit_stride(const Tensor& x) {
  const Tensor y = four_dims(x);
  return y.strides()[3] == 1 || y.size(3) == 1 ? y : y.contiguous();
}

// Uninitialised, and such that each place has its heads side by side: they are merged without a copy.
Tensor empty_heads(const Shape& shape, const TensorOptions& options) {
  const int n = shape.size();
  if (n < 3) return empty(shape, options);
  Shape memory = shape;
  std::swap(memory[n - 3], memory[n - 2]);
  return empty(memory, options).transpose(-3, -2);
}

// What the kernels are told of a call, but for its tensors.
struct Call {
  double scale, dropout;
  PhiloxState state;
  bool causal;

  Attention arguments(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& output, const Tensor& log_sum,
                      const Tensor& keep, const Tensor& bias) const {
    Attention a{
        .q = q.raw(), .k = k.raw(), .v = v.raw(), .output = four_dims(output).raw(), .log_sum = data_of(log_sum)};
    if (keep.defined()) a.keep = keep.raw();
    if (bias.defined()) a.bias = bias.raw();
    a.causal = causal, a.scale = scale, a.dropout = dropout, a.state = state;
    return a;
  }
  // Pairs of a query and a key that it sees.
  int64_t pairs(const Tensor& q, const Tensor& k) const {
    const int64_t queries = q.size(2), unseen = causal ? queries * (queries - 1) / 2 : 0;
    return q.size(0) * q.size(1) * (queries * k.size(2) - unseen);
  }
};

}  // namespace

Attended attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionOptions& options) {
  check_shapes(query, key, value, options);
  return composed(query, key, value, options);
}

Tensor scaled_dot_product_attention(const Tensor& queries, const Tensor& keys, const Tensor& values,
                                    const AttentionOptions& options) {
  const Tensor query = narrowed(queries), key = narrowed(keys), value = narrowed(values);
  const char* op = "scaled_dot_product_attention";
  check_shapes(query, key, value, options);
  if (!fits_kernel(query, key, value, options)) return composed(query, key, value, options).output;
  Shape pairs = query.shape(), shape = query.shape();
  pairs[query.dim() - 1] = key.size(-2), shape[query.dim() - 1] = value.size(-1);
  Tensor keep, bias;
  if (options.keep) keep = four_dims(options.keep->kept.expand(pairs));
  if (options.bias.defined()) bias = four_dims(match(op, options.bias, query).expand(pairs));
  Call call{scale_of(query, options), options.dropout, {}, options.is_causal};
  if (options.dropout > 0) call.state = default_generator().take(numel(pairs));

  const Tensor q = with_unit_stride(query), k = with_unit_stride(key), v = with_unit_stride(value);
  const Tensor y = empty_heads(shape, query.options()),
               log_sum = empty({q.size(0), q.size(1), q.size(2)}, statistics_options(q));
  kernels(q).attention(call.arguments(q, k, v, y, log_sum, keep, bias));
  flops_counted() += 2 * call.pairs(q, k) * (q.size(3) + v.size(3));
  const auto rule = [call](const Tensor& g, const Kept& kept) {
    check(!grad_enabled(), "scaled_dot_product_attention: its gradient cannot be differentiated; that of attend can");
    const Tensor inputs[] = {kept.input(0), kept.input(1), kept.input(2)}, output = kept.output();
    Tensor d[3], heads[3];
    for (int i = 0; i < 3; ++i) {
      d[i] = empty_heads(inputs[i].shape(), g.options());
      heads[i] = with_unit_stride(inputs[i]);
    }
    const Attention a =
        call.arguments(heads[0], heads[1], heads[2], output, kept.extra(0), kept.extra(1), kept.extra(2));
    kernels(g).attention_grad(a, with_unit_stride(g).raw(), four_dims(d[0]).raw(), four_dims(d[1]).raw(),
                              four_dims(d[2]).raw());
    flops_counted() += 2 * call.pairs(heads[0], heads[1]) * (3 * heads[0].size(3) + 2 * heads[2].size(3));
    return grads(d[0], d[1], d[2]);
  };
  return record(op, {query, key, value}, y, Keep::both, rule, {log_sum, keep, bias});
}

Tensor rotary(const Tensor& x, int64_t first, double base) {
  check(x.dim() >= 2 && x.size(-1) % 2 == 0, "rotary: expected (..., places, an even number), got ", x.shape());
  const int64_t n = x.size(-2), half = x.size(-1) / 2;
  const TensorOptions numbers = {.dtype = float64, .device = x.device()};
  const Tensor frequency = exp(arange(0, double(half), 1, numbers) * (-std::log(base) / double(half)));
  const Tensor angle = (arange(0, double(n), 1, numbers) + double(first)).unsqueeze(1) * frequency;
  const Tensor c = cos(angle).to(x.dtype()), s = sin(angle).to(x.dtype());
  const Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
  return cat({a * c - b * s, a * s + b * c}, -1);
}

Tensor alibi_bias(int64_t heads, int64_t queries, int64_t keys, Device device) {
  check(heads > 0, "alibi_bias: ", heads, " heads");
  const auto [query, key] = places("alibi_bias", queries, keys, device);
  const Tensor head = arange(1, double(heads) + 1, 1, {.device = device});
  const Tensor slopes = exp(head * (-8 * std::log(2.0) / double(heads)));
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
