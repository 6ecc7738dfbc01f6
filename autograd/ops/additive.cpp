#include "autograd/ops/common.h"

namespace gradus {

Tensor additive_scores(const Tensor& queries_in, const Tensor& key, const Tensor& weights) {
  const char* op = "additive_scores";
  const Tensor query = widened(queries_in), k = match(op, key, query), v = match(op, weights, query);
  check_computable(op, query);
  check(query.dim() == 3 && k.dim() == 3 && query.size(0) == k.size(0) && query.size(2) == k.size(2) &&
            v.shape() == Shape{k.size(2)},
        op, ": expected (batch, queries, n), (batch, keys, n) and (n), got ", query.shape(), ", ", k.shape(), " and ",
        v.shape());
  const int64_t batch = query.size(0), queries = query.size(1), keys = k.size(1), n = k.size(2);
  const Tensor in = plain(query), to = plain(k), by = plain(v), y = empty({batch, queries, keys}, query.options());
  kernels(query).additive_scores(data_of(in), data_of(to), data_of(by), batch, queries, keys, n, data_of(y));
  auto rule = [=](const Tensor& g, const Kept& kept) {
    const Tensor a = kept.input(0), b = kept.input(1), c = kept.input(2);
    if (grad_enabled()) {
      const Tensor t = tanh(a.unsqueeze(2) + b.unsqueeze(1)), scores = g.unsqueeze(3),
                   d = scores * c * (1 - square(t));
      return grads(d.sum({2}), d.sum({1}), (scores * t).sum({0, 1, 2}));
    }
    const Tensor da = empty(a.shape(), a.options()), db = empty(b.shape(), a.options()),
                 dc = empty(c.shape(), a.options());
    const Tensor x = plain(a), z = plain(b), w = plain(c), scores = plain(g);
    kernels(g).additive_scores_grad(data_of(x), data_of(z), data_of(w), data_of(scores), batch, queries, keys, n,
                                    data_of(da), data_of(db), data_of(dc));
    return grads(da, db, dc);
  };
  return record(op, {query, k, v}, y, Keep::inputs, rule);
}

}  // namespace gradus
