// Sums and other reductions, and what goes along one dimension: arg max, sort, cumulative sums.
#include <cmath>

#include "autograd/ops/common.h"

namespace gradus {
namespace {

// The shape with the dimensions in `dims` made 1.
Shape kept_shape(const Shape& shape, const Dims& dims) {
  Shape kept = shape;
  for (int64_t d : dims) kept[int(d)] = 1;
  return kept;
}

int64_t count_over(const Shape& shape, const Dims& dims) {
  int64_t count = 1;
  for (int64_t d : dims) count *= shape[int(d)];
  return count;
}

// Without the dimensions in `dims` (all of size 1) unless they are to stay.
Tensor drop(const Tensor& x, const Dims& dims, bool keepdim) {
  if (keepdim || dims.empty()) return x;
  Shape shape;
  for (int i = 0; i < x.dim(); ++i)
    if (!dims.contains(i)) shape.push_back(x.shape()[i]);
  return x.reshape(shape);
}

//! [reduce]
// The numbers alone: x reduced over `dims`, which stay as size 1.
Tensor reduce(Reduce op, const Tensor& x, const Dims& dims) {
  Tensor y = empty(kept_shape(x.shape(), dims), x.options());
  View to = y.raw();
  for (int64_t d : dims) {
    to.shape[d] = x.shape()[int(d)];
    to.strides[d] = 0;
  }
  kernels(x).reduce(op, x.raw(), to);
  return y;
}
//! [reduce]

void check_not_empty(const char* op, const Tensor& x, const Dims& dims) {
  check(count_over(x.shape(), dims) > 0, op, ": there is nothing to choose from in shape ", x.shape());
}

Tensor extreme(const char* name, Reduce op, const Tensor& x, const Dims& asked, bool keepdim) {
  Dims dims = wrap_dims(name, asked, x.dim());
  check_not_empty(name, x, dims);
  auto rule = [dims](const Tensor& g, const Kept& k) {
    Tensor chosen = (k.input().detach() == k.output().detach()).to(g.dtype());
    return grads(g * (chosen / chosen.sum(dims, true)));
  };
  const KeepInBfloat16 whole(false);  // the rule asks which are equal
  return drop(record(name, {x}, reduce(op, x, dims), Keep::both, rule), dims, keepdim);
}

// (rows, n) with dimension d last, and the order of dimensions that put it there.
Tensor with_last(const Tensor& x, int d) { return x.dim() == 0 ? x.reshape({1}) : x.transpose(d, -1).contiguous(); }

Tensor arg_extreme(const char* name, ArgReduce op, const Tensor& x, int64_t d, bool keepdim) {
  NoGrad guard;
  int at = wrap_dim(name, d, x.dim());
  Tensor rows = with_last(x.detach(), at);
  int64_t n = rows.size(-1);
  check(n > 0, name, ": there is nothing to choose from in dimension ", at, " of shape ", x.shape());
  Shape shape = rows.shape();
  shape[rows.dim() - 1] = 1;
  Tensor index = empty(shape, {.dtype = int64, .device = x.device()});
  kernels(x).arg_reduce(op, rows.raw().data, index.numel(), n, static_cast<int64_t*>(data_of(index)));
  if (x.dim() == 0) return index.reshape({});
  index = index.transpose(at, -1).contiguous();
  return keepdim ? index : index.squeeze(at);
}

std::pair<Tensor, Tensor> extreme_of(const char* name, ArgReduce op, const Tensor& x, int64_t d, bool keepdim) {
  if (x.dim() == 0) return {x.clone(), zeros({}, {.dtype = int64, .device = x.device()})};
  int at = wrap_dim(name, d, x.dim());
  Tensor index = arg_extreme(name, op, x, at, true), values = x.gather(at, index);
  return keepdim ? std::pair(values, index) : std::pair(values.squeeze(at), index.squeeze(at));
}

}  // namespace

Tensor Tensor::sum(const Dims& asked, bool keepdim) const {
  if (dtype() == boolean || dtype() == uint8) return to(int64).sum(asked, keepdim);
  Dims dims = wrap_dims("sum", asked, dim());
  auto rule = [dims](const Tensor& g, const Kept& k) {
    return grads(g.reshape(kept_shape(k.input_shape(), dims)).expand(k.input_shape()));
  };
  return record("sum", {*this}, drop(reduce(Reduce::sum, *this, dims), dims, keepdim), Keep::none, rule);
}

Tensor Tensor::mean(const Dims& asked, bool keepdim) const {
  check(is_floating(dtype()), "mean: needs a floating point tensor, got ", dtype());
  double count = double(count_over(shape(), wrap_dims("mean", asked, dim())));
  return sum(asked, keepdim) / count;
}

Tensor Tensor::prod(const Dims& asked, bool keepdim) const {
  if (dtype() == boolean || dtype() == uint8) return to(int64).prod(asked, keepdim);
  Dims dims = wrap_dims("prod", asked, dim());
  auto rule = [dims](const Tensor& g, const Kept& k) {
    Tensor x = k.input();
    Tensor zero = x.detach() == 0.0;
    if (!zero.any().item()) return grads(g * k.output() / x);
    // With zeros about, the product of all others is made without dividing: the reduced dimensions as one,
    // times what comes before each element and what comes after.
    Dims order, back = Dims::filled(x.dim(), 0);
    for (int i = 0; i < x.dim(); ++i)
      if (!dims.contains(i)) order.push_back(i);
    for (int64_t d : dims) order.push_back(d);
    for (int i = 0; i < order.size(); ++i) back[int(order[i])] = i;
    Tensor moved = x.permute(order), flat = moved.flatten(x.dim() - dims.size(), -1);
    int64_t n = flat.size(-1);
    std::vector<Tensor> before{ones_like(flat.select(-1, 0))}, after{before[0]}, others;
    for (int64_t i = 0; i + 1 < n; ++i) {
      before.push_back(before.back() * flat.select(-1, i));
      after.push_back(after.back() * flat.select(-1, n - 1 - i));
    }
    for (int64_t i = 0; i < n; ++i) others.push_back(before[size_t(i)] * after[size_t(n - 1 - i)]);
    return grads(g * stack(others, -1).reshape(moved.shape()).permute(back));
  };
  return drop(record("prod", {*this}, reduce(Reduce::prod, *this, dims), Keep::both, rule), dims, keepdim);
}

Tensor Tensor::amax(const Dims& dims, bool keepdim) const {
  return extreme("amax", Reduce::max, *this, dims, keepdim);
}
Tensor Tensor::amin(const Dims& dims, bool keepdim) const {
  return extreme("amin", Reduce::min, *this, dims, keepdim);
}

std::pair<Tensor, Tensor> Tensor::max(int64_t d, bool keepdim) const {
  return extreme_of("max", ArgReduce::max, *this, d, keepdim);
}
std::pair<Tensor, Tensor> Tensor::min(int64_t d, bool keepdim) const {
  return extreme_of("min", ArgReduce::min, *this, d, keepdim);
}

Tensor Tensor::var(const Dims& asked, int64_t correction, bool keepdim) const {
  Dims dims = wrap_dims("var", asked, dim());
  double freedom = std::max(0.0, double(count_over(shape(), dims) - correction));
  return square(*this - mean(asked, true)).sum(asked, keepdim) / freedom;
}

Tensor Tensor::std(const Dims& dims, int64_t correction, bool keepdim) const {
  return sqrt(var(dims, correction, keepdim));
}

Tensor Tensor::norm(double p, const Dims& asked, bool keepdim) const {
  check(p >= 0, "norm: the order is ", p, ", expected at least 0");
  check(is_floating(dtype()), "norm: needs a floating point tensor, got ", dtype());
  if (p == 0) return (*this != 0.0).to(dtype()).sum(asked, keepdim);
  if (p == 1) return abs(*this).sum(asked, keepdim);
  if (p == INFINITY) return abs(*this).amax(asked, keepdim);
  if (p != 2) return pow(pow(abs(*this), p).sum(asked, keepdim), 1 / p);
  Dims dims = wrap_dims("norm", asked, dim());
  Tensor y = reduce(Reduce::sum_squares, *this, dims);
  kernels(y).unary(Unary::sqrt, y.raw(), y.raw(), 0, 0);
  // At the origin the subgradient 0, as PyTorch.
  auto rule = [](const Tensor& g, const Kept& k) {
    Tensor length = k.output();
    return grads(k.input() * (g / length).masked_fill(length.detach() == 0.0, 0));
  };
  return drop(record("norm", {*this}, std::move(y), Keep::both, rule), dims, keepdim);
}

Tensor Tensor::logsumexp(const Dims& asked, bool keepdim) const {
  Dims dims = wrap_dims("logsumexp", asked, dim());
  // Shifted by the largest, so that nothing overflows; by 0 where that is infinite.
  Tensor largest = detach().amax(asked, true);
  largest = largest.masked_fill(isinf(largest), 0);
  return drop(log(exp(*this - largest).sum(asked, true)) + largest, dims, keepdim);
}

Tensor Tensor::any(const Dims& asked, bool keepdim) const {
  NoGrad guard;
  Dims dims = wrap_dims("any", asked, dim());
  return drop(reduce(Reduce::max, dtype() == boolean ? *this : *this != 0.0, dims), dims, keepdim);
}

Tensor Tensor::all(const Dims& asked, bool keepdim) const {
  NoGrad guard;
  Dims dims = wrap_dims("all", asked, dim());
  return drop(reduce(Reduce::min, dtype() == boolean ? *this : *this != 0.0, dims), dims, keepdim);
}

Tensor Tensor::argmax(int64_t d, bool keepdim) const {
  return arg_extreme("argmax", ArgReduce::max, *this, d, keepdim);
}
Tensor Tensor::argmin(int64_t d, bool keepdim) const {
  return arg_extreme("argmin", ArgReduce::min, *this, d, keepdim);
}
Tensor Tensor::argmax() const { return detach().reshape({-1}).argmax(0); }
Tensor Tensor::argmin() const { return detach().reshape({-1}).argmin(0); }

Tensor Tensor::cumsum(int64_t d) const {
  if (dtype() == boolean || dtype() == uint8) return to(int64).cumsum(d);
  int at = wrap_dim("cumsum", d, dim());
  if (dim() == 0) return clone();
  Tensor x = detach().contiguous(), y = empty_like(x);
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < dim(); ++i)
    if (i != at) (i < at ? outer : inner) *= shape()[i];
  kernels(x).cumsum(x.raw().data, y.raw().data, outer, shape()[at], inner);
  return record("cumsum", {*this}, std::move(y), Keep::none,
                [at](const Tensor& g, const Kept&) { return grads(g.flip({at}).cumsum(at).flip({at})); });
}

std::pair<Tensor, Tensor> Tensor::sort(int64_t d, bool descending) const {
  int at = wrap_dim("sort", d, dim());
  if (dim() == 0) return {clone(), zeros({}, {.dtype = int64, .device = device()})};
  Tensor index;
  {
    NoGrad guard;
    Tensor rows = with_last(detach(), at), values = empty_like(rows);
    index = empty(rows.shape(), {.dtype = int64, .device = device()});
    if (rows.numel() > 0)
      kernels(rows).sort(rows.raw().data, rows.numel() / rows.size(-1), rows.size(-1), descending, values.raw().data,
                         static_cast<int64_t*>(data_of(index)));
    index = index.transpose(at, -1).contiguous();
  }
  return {gather(at, index), index};
}

std::pair<Tensor, Tensor> Tensor::topk(int64_t k, int64_t d, bool largest) const {
  int at = wrap_dim("topk", d, dim());
  check(k >= 0 && k <= (dim() ? size(at) : 1), "topk: ", k, " elements cannot be chosen from dimension ", at,
        " of shape ", shape());
  if (dim() == 0) return sort(0);
  Tensor index = detach().sort(at, largest).second.narrow(at, 0, k).contiguous();
  return {gather(at, index), index};
}

}  // namespace gradus
