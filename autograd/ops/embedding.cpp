#include "autograd/ops/common.h"

namespace gradus {

Tensor embedding(const Tensor& index, const Tensor& weight, std::optional<int64_t> padding_idx) {
  check(weight.dim() == 2, "embedding: weight must be (entries, features), got ", weight.shape());
  check_computable("embedding", weight);
  int64_t entries = weight.size(0), features = weight.size(1);
  check_indices("embedding", weight.device(), index, entries, "entries");
  int64_t padding = -1;
  if (padding_idx) {
    padding = *padding_idx < 0 ? *padding_idx + entries : *padding_idx;
    check(padding >= 0 && padding < entries, "embedding: padding_idx ", *padding_idx, " is out of range for ",
          entries, " entries");
  }
  Tensor rows = plain(index).flatten();
  Shape shape = index.shape();
  shape.push_back(features);
  Tensor y = empty(shape, weight.options());
  if (y.numel())
    kernels(weight).index_select(plain(weight).raw().data, indices_of(rows), y.raw().data, 1, entries, features,
                                 rows.numel());
  auto rule = [entries, features, padding](const Tensor& g, const Kept& k) {
    Tensor into = k.extra(), from = g.reshape({into.numel(), features});
    if (padding >= 0) from = from.masked_fill((into == double(padding)).unsqueeze(1), 0);
    auto add = [=](Tensor& whole) {
      if (from.numel())
        kernels(whole).index_add(whole.raw().data, indices_of(into), plain(from).raw().data, 1, entries, features,
                                 into.numel());
    };
    auto dense = [=] { return zeros({entries, features}, from.options()).index_add(0, into, from); };
    return grads(Gradient(add, dense));
  };
  return record("embedding", {weight}, y, Keep::none, rule, {rows});
}

}  // namespace gradus
