// Picking elements by index, and putting them back.
#include <algorithm>

#include "autograd/ops/common.h"

namespace gradus {

void check_indices(const char* op, Device device, const Tensor& index, int64_t count, const char* things,
                   std::optional<int64_t> except) {
  check(index.dtype() == int64, op, ": indices must be int64, got ", index.dtype());
  check(index.device() == device, op, ": the indices are on ", index.device(), ", what they choose from on ", device);
  if (device != Device::cpu) return;
  Tensor flat = plain(index);
  const int64_t* values = flat.data<int64_t>();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    if (values[i] >= 0 && values[i] < count) continue;
    check(values[i] == except, op, ": index ", values[i], " at position ", i, " is out of range for ", count, " ",
          things);
  }
}

namespace {

// x seen as (outer, n, inner) around dimension d.
struct Around {
  int64_t outer = 1, n, inner = 1;
  Around(const Shape& shape, int d) : n(shape[d]) {
    for (int i = 0; i < shape.size(); ++i)
      if (i != d) (i < d ? outer : inner) *= shape[i];
  }
};

int dimension(const char* op, const Tensor& x, int64_t d) {
  check(x.dim() > 0, op, ": a scalar has no dimension to index");
  return wrap_dim(op, d, x.dim());
}

void check_vector(const char* op, const Tensor& index) {
  check(index.dtype() == int64 && index.dim() == 1, op, ": the index must be a list of int64, got ", index.dtype(),
        " of shape ", index.shape());
}

// `like` fits x but for dimension d: what gather and scatter_add ask of their index.
void check_beside(const char* op, const Tensor& x, const Tensor& index, int d) {
  check(index.dtype() == int64, op, ": the index must be int64, got ", index.dtype());
  bool fits = index.dim() == x.dim();
  for (int i = 0; fits && i < x.dim(); ++i) fits = i == d || index.shape()[i] <= x.shape()[i];
  check(fits, op, ": index ", index.shape(), " does not fit ", x.shape(), " along dimension ", d,
        ": the other sizes may not be larger");
}

// Adds rows (outer, count, inner) of `source` into the places of `y` (contiguous) that the index names.
void add_rows(const Tensor& y, int d, const Tensor& index, const Tensor& source) {
  Around a(y.shape(), d);
  kernels(y).index_add(y.raw().data, indices_of(index.contiguous()), source.detach().contiguous().raw().data, a.outer,
                       a.n, a.inner, index.numel());
}

}  // namespace

Tensor Tensor::index_select(int64_t d, const Tensor& index) const {
  int at = dimension("index_select", *this, d);
  check_vector("index_select", index);
  check_indices("index_select", device(), index, shape()[at], "elements");
  Tensor rows = index.contiguous();
  Shape out = shape();
  out[at] = index.numel();
  Tensor y = empty(out, options());
  Around a(shape(), at);
  kernels(*this).index_select(detach().contiguous().raw().data, indices_of(rows), y.raw().data, a.outer, a.n, a.inner,
                              index.numel());
  auto rule = [at, from = shape()](const Tensor& g, const Kept& k) {
    Tensor into = k.extra();
    return grads(Gradient([at, into, g](Tensor& whole) { add_rows(whole, at, into, g); },
                          [at, into, g, from] { return zeros(from, g.options()).index_add(at, into, g); }));
  };
  return record("index_select", {*this}, std::move(y), Keep::none, rule, {rows});
}

Tensor Tensor::index_add(int64_t d, const Tensor& index, const Tensor& source) const {
  int at = dimension("index_add", *this, d);
  check_vector("index_add", index);
  check_together("index_add", *this, source);
  check_indices("index_add", device(), index, shape()[at], "elements");
  Shape expected = shape();
  expected[at] = index.numel();
  check(source.shape() == expected && source.dtype() == dtype(), "index_add: source ", source.shape(), " ",
        source.dtype(), " for an index of ", index.numel(), " into ", shape(), ", expected ", expected, " ", dtype());
  Tensor y = detach().clone();
  add_rows(y, at, index, source);
  auto rule = [at](const Tensor& g, const Kept& k) {
    return grads(g, k.needs(1) ? g.index_select(at, k.extra()) : Tensor());
  };
  return record("index_add", {*this, source}, std::move(y), Keep::none, rule, {index});
}

Tensor Tensor::gather(int64_t d, const Tensor& index) const {
  int at = dimension("gather", *this, d);
  check_beside("gather", *this, index, at);
  check_indices("gather", device(), index, shape()[at], "elements");
  Tensor y = empty(index.shape(), options());
  kernels(*this).gather(raw(), index.raw(), y.raw(), at);
  auto rule = [at, from = shape()](const Tensor& g, const Kept& k) {
    Tensor places = k.extra();
    return grads(Gradient(
        [at, places, g](Tensor& whole) { kernels(whole).scatter_add(whole.raw(), places.raw(), g.raw(), at); },
        [at, places, g, from] { return zeros(from, g.options()).scatter_add(at, places, g); }));
  };
  return record("gather", {*this}, std::move(y), Keep::none, rule, {index});
}

Tensor Tensor::scatter_add(int64_t d, const Tensor& index, const Tensor& source) const {
  int at = dimension("scatter_add", *this, d);
  check_beside("scatter_add", *this, index, at);
  check(source.shape() == index.shape() && source.dtype() == dtype(), "scatter_add: source ", source.shape(), " ",
        source.dtype(), ", expected the index's shape ", index.shape(), " and ", dtype());
  check_together("scatter_add", *this, source);
  check_indices("scatter_add", device(), index, shape()[at], "elements");
  Tensor y = detach().clone();
  kernels(y).scatter_add(y.raw(), index.raw(), source.raw(), at);
  auto rule = [at](const Tensor& g, const Kept& k) {
    return grads(g, k.needs(1) ? g.gather(at, k.extra()) : Tensor());
  };
  return record("scatter_add", {*this, source}, std::move(y), Keep::none, rule, {index});
}

Tensor Tensor::masked_fill(const Tensor& mask, double value) const {
  check(mask.dtype() == boolean, "masked_fill: the mask must be bool, got ", mask.dtype());
  check(broadcast_shapes("masked_fill", mask.shape(), shape()) == shape(), "masked_fill: mask ", mask.shape(),
        " is larger than ", shape());
  return where(mask, full({}, value, options()), *this);
}

Tensor Tensor::masked_select(const Tensor& mask) const {
  check(mask.dtype() == boolean, "masked_select: the mask must be bool, got ", mask.dtype());
  Shape both = broadcast_shapes("masked_select", mask.shape(), shape());
  return expand(both).reshape({-1}).index_select(0, mask.expand(both).reshape({-1}).nonzero().squeeze(1));
}

Tensor Tensor::nonzero() const {
  std::vector<double> values = to_vector<double>();
  std::vector<int64_t> places;
  Strides steps = contiguous_strides(shape());
  int64_t count = 0;
  for (int64_t i = 0; i < int64_t(values.size()); ++i) {
    if (values[size_t(i)] == 0) continue;
    ++count;
    for (int d = 0; d < dim(); ++d) places.push_back(i / steps[d] % shape()[d]);
  }
  return from_vector(places, {count, dim()}).to(device());
}

Tensor one_hot(const Tensor& index, int64_t classes) {
  check(index.dtype() == int64, "one_hot: the index must be int64, got ", index.dtype());
  check_indices("one_hot", index.device(), index, classes, "classes");
  Shape shape = index.shape();
  shape.push_back(classes);
  Tensor y = zeros(shape, {.dtype = int64, .device = index.device()});
  Tensor places = index.unsqueeze(-1);
  kernels(y).scatter_add(y.raw(), places.raw(), ones_like(places).raw(), y.dim() - 1);
  return y;
}

}  // namespace gradus
