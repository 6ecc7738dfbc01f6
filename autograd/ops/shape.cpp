// Views (the same numbers seen differently) and copies that rearrange.
#include <algorithm>
#include <numeric>

#include "autograd/ops/common.h"

namespace gradus {
namespace {

// x's storage under another layout, with a rule that is itself a view of the gradient.
Tensor view_of(const char* op, const Tensor& x, const Layout& layout, Rule rule) {
  return record(op, {x}, Tensor(x.storage(), layout), Keep::none, std::move(rule));
}

using ViewFunction = std::function<Tensor(const Tensor&)>;

// Zeros of `shape` but for the part that `part` views, which is g.
Tensor embed(const Tensor& g, const Shape& shape, const ViewFunction& part) {
  Tensor y = zeros(shape, g.options());
  {
    NoGrad guard;
    part(y).add_(g.detach());
  }
  return record("embed", {g}, std::move(y), Keep::none,
                [part](const Tensor& h, const Kept&) { return grads(part(h)); });
}

// A view that leaves elements out. Its gradient goes into a part of the input's only; `part` finds that part in any
// tensor of the input's shape.
Tensor part_of(const char* op, const Tensor& x, const Layout& layout, ViewFunction part) {
  return view_of(op, x, layout, [part = std::move(part), shape = x.shape()](const Tensor& g, const Kept&) {
    return grads(Gradient([g, part](Tensor& whole) { part(whole).add_(g); },
                          [g, part, shape] { return embed(g, shape, part); }));
  });
}

// The sizes asked for, with a -1 replaced by what is left over for it.
Shape infer(const char* op, const Shape& asked, int64_t count, const Shape& from) {
  Shape shape = asked;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < shape.size(); ++i) {
    check(shape[i] >= -1 && (shape[i] >= 0 || unknown < 0), op, ": shape ", asked,
          " may have one -1 and no other negative size");
    if (shape[i] == -1)
      unknown = i;
    else
      known *= shape[i];
  }
  if (unknown >= 0 && known > 0 && count % known == 0) shape[unknown] = count / known;
  check(!shape.contains(-1) && numel(shape) == count, op, ": shape ", from, " (", count, " elements) cannot become ",
        asked);
  return shape;
}

// Strides that show `from`'s elements in the same order as `shape`; false where no strides can.
bool restride(const Layout& from, const Shape& shape, Strides& strides) {
  strides = contiguous_strides(shape);
  if (numel(shape) == 0 || from.shape.empty()) return true;
  // From the last dimension on, gather old dimensions into blocks that one stride can walk. The new dimensions must
  // fill each block exactly.
  int to = shape.size() - 1;
  int64_t step = from.strides.back(), in_block = 1, filled = 1;
  for (int d = from.shape.size() - 1; d >= 0; --d) {
    in_block *= from.shape[d];
    bool block_ends = d == 0 || (from.shape[d - 1] != 1 && from.strides[d - 1] != in_block * step);
    if (!block_ends) continue;
    for (; to >= 0 && (filled < in_block || shape[to] == 1); --to) {
      strides[to] = filled * step;
      filled *= shape[to];
    }
    if (filled != in_block) return false;
    if (d > 0) step = from.strides[d - 1];
    in_block = filled = 1;
  }
  return true;
}

}  // namespace

// --- views ---------------------------------------------------------------------------------------------------------

static Tensor reshape_as(const char* op, const Tensor& x, const Shape& shape, const Strides& strides) {
  return view_of(op, x, {shape, strides, x.layout().offset},
                 [from = x.shape()](const Tensor& g, const Kept&) { return grads(g.reshape(from)); });
}

Tensor Tensor::reshape(const Shape& asked) const {
  Shape to = infer("reshape", asked, numel(), shape());
  if (to == shape()) return *this;
  Strides strides;
  if (restride(layout_, to, strides)) return reshape_as("reshape", *this, to, strides);
  return contiguous().reshape(to);
}

Tensor Tensor::view(const Shape& asked) const {
  Shape to = infer("view", asked, numel(), shape());
  Strides strides;
  check(restride(layout_, to, strides), "view: shape ", shape(), " with strides ", this->strides(),
        " cannot be seen as ", to, " without copying; reshape copies where it must");
  return reshape_as("view", *this, to, strides);
}

Tensor Tensor::flatten(int64_t first, int64_t last) const {
  int a = wrap_dim("flatten", first, dim()), b = wrap_dim("flatten", last, dim());
  check(a <= b, "flatten: dimension ", first, " comes after ", last);
  if (dim() == 0) return reshape({1});
  Shape to;
  for (int i = 0; i < dim(); ++i) {
    if (i > a && i <= b)
      to[a] *= shape()[i];
    else
      to.push_back(shape()[i]);
  }
  return reshape(to);
}

Tensor Tensor::unflatten(int64_t d, const Shape& sizes) const {
  int at = existing_dim("unflatten", d, dim());
  Shape inner = infer("unflatten", sizes, size(at), {size(at)}), to = shape();
  to.erase(at);
  for (int i = 0; i < inner.size(); ++i) to.insert(at + i, inner[i]);
  return reshape(to);
}

Tensor Tensor::squeeze() const {
  Layout l = layout_;
  for (int i = dim() - 1; i >= 0; --i)
    if (shape()[i] == 1) {
      l.shape.erase(i);
      l.strides.erase(i);
    }
  return reshape_as("squeeze", *this, l.shape, l.strides);
}

Tensor Tensor::squeeze(int64_t d) const {
  int at = wrap_dim("squeeze", d, dim());
  if (dim() == 0 || shape()[at] != 1) return *this;
  Layout l = layout_;
  l.shape.erase(at);
  l.strides.erase(at);
  return reshape_as("squeeze", *this, l.shape, l.strides);
}

Tensor Tensor::unsqueeze(int64_t d) const {
  int at = wrap_dim("unsqueeze", d, dim() + 1);
  Layout l = layout_;
  l.strides.insert(at, at < dim() ? l.shape[at] * l.strides[at] : 1);
  l.shape.insert(at, 1);
  return reshape_as("unsqueeze", *this, l.shape, l.strides);
}

Tensor Tensor::permute(const Dims& order) const {
  check(order.size() == dim(), "permute: ", order, " does not name each of the ", dim(), " dimensions of ", shape());
  Layout l = layout_;
  Dims inverse = order;
  uint32_t seen = 0;
  for (int i = 0; i < dim(); ++i) {
    int from = wrap_dim("permute", order[i], dim());
    check(!(seen >> from & 1), "permute: ", order, " names dimension ", from, " twice");
    seen |= 1u << from;
    l.shape[i] = shape()[from];
    l.strides[i] = strides()[from];
    inverse[from] = i;
  }
  return view_of("permute", *this, l, [inverse](const Tensor& g, const Kept&) { return grads(g.permute(inverse)); });
}

//! [transpose]
Tensor Tensor::transpose(int64_t d0, int64_t d1) const {
  int a = wrap_dim("transpose", d0, dim()), b = wrap_dim("transpose", d1, dim());
  if (a == b) return *this;
  Layout l = layout_;
  std::swap(l.shape[a], l.shape[b]);
  std::swap(l.strides[a], l.strides[b]);
  return view_of("transpose", *this, l, [a, b](const Tensor& g, const Kept&) { return grads(g.transpose(a, b)); });
}
//! [transpose]

Tensor Tensor::t() const {
  check(dim() == 2, "t: expected a matrix, got shape ", shape());
  return transpose(0, 1);
}

Tensor Tensor::expand(const Shape& asked) const {
  if (asked == shape()) return *this;
  check(asked.size() >= dim(), "expand: shape ", shape(), " has more dimensions than ", asked);
  Layout l{asked, Dims::filled(asked.size(), 0), layout_.offset};
  int extra = asked.size() - dim();
  for (int i = 0; i < asked.size(); ++i) {
    int64_t& size = l.shape[i];
    if (i < extra) {
      check(size >= 0, "expand: the size of a new dimension must be given, got ", asked);
      continue;
    }
    int64_t old = shape()[i - extra];
    if (size == -1) size = old;
    check(old == size || old == 1, "expand: shape ", shape(), " does not stretch to ", asked, ": size ", old,
          " is neither ", size, " nor 1");
    l.strides[i] = old == size ? strides()[i - extra] : 0;
  }
  return view_of("expand", *this, l,
                 [from = shape()](const Tensor& g, const Kept&) { return grads(sum_to(g, from)); });
}

Tensor Tensor::select(int64_t d, int64_t index) const {
  check(dim() > 0, "select: a scalar has no dimension to select from");
  int at = wrap_dim("select", d, dim());
  int64_t n = shape()[at];
  check(index >= -n && index < n, "select: index ", index, " is out of range for size ", n, " (dimension ", at,
        " of ", shape(), ")");
  if (index < 0) index += n;
  Layout l = layout_;
  l.offset += index * l.strides[at];
  l.shape.erase(at);
  l.strides.erase(at);
  return part_of("select", *this, l, [at, index](const Tensor& whole) { return whole.select(at, index); });
}

Tensor Tensor::narrow(int64_t d, int64_t start, int64_t length) const {
  check(dim() > 0, "narrow: a scalar has no dimension to narrow");
  int at = wrap_dim("narrow", d, dim());
  int64_t n = shape()[at];
  if (start < 0) start += n;
  check(start >= 0 && length >= 0 && length <= n - start, "narrow: ", length, " elements from ", start,
        " do not lie within size ", n, " (dimension ", at, " of ", shape(), ")");
  if (start == 0 && length == n) return *this;
  Layout l = layout_;
  l.offset += start * l.strides[at];
  l.shape[at] = length;
  return part_of("narrow", *this, l,
                 [at, start, length](const Tensor& whole) { return whole.narrow(at, start, length); });
}

Tensor Tensor::slice(int64_t d, int64_t start, int64_t end, int64_t step) const {
  check(dim() > 0, "slice: a scalar has no dimension to slice");
  check(step > 0, "slice: the step is ", step, ", expected above 0 (flip reverses)");
  int at = wrap_dim("slice", d, dim());
  int64_t n = shape()[at];
  auto clip = [n](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n); };
  start = clip(start);
  end = std::max(clip(end), start);
  if (step == 1) return narrow(at, start, end - start);
  Layout l = layout_;
  l.offset += start * l.strides[at];
  l.shape[at] = (end - start + step - 1) / step;
  l.strides[at] *= step;
  return part_of("slice", *this, l,
                 [at, start, end, step](const Tensor& whole) { return whole.slice(at, start, end, step); });
}

std::vector<Tensor> Tensor::split(int64_t size_each, int64_t d) const {
  check(size_each > 0, "split: the size of a part is ", size_each, ", expected above 0");
  int64_t n = size(d);
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < n || i == 0; i += size_each) parts.push_back(narrow(d, i, std::min(size_each, n - i)));
  return parts;
}

std::vector<Tensor> Tensor::split(const Dims& sizes, int64_t d) const {
  int64_t total = std::accumulate(sizes.begin(), sizes.end(), int64_t(0));
  check(total == size(d), "split: parts ", sizes, " add up to ", total, ", not to size ", size(d));
  std::vector<Tensor> parts;
  int64_t start = 0;
  for (int64_t n : sizes) {
    parts.push_back(narrow(d, start, n));
    start += n;
  }
  return parts;
}

std::vector<Tensor> Tensor::chunk(int64_t count, int64_t d) const {
  check(count > 0, "chunk: the count is ", count, ", expected above 0");
  return split(std::max<int64_t>(1, (size(d) + count - 1) / count), d);
}

Tensor Tensor::unfold(int64_t d, int64_t size_each, int64_t step) const {
  check(dim() > 0, "unfold: a scalar has no dimension to unfold");
  int at = wrap_dim("unfold", d, dim());
  int64_t n = shape()[at];
  check(size_each > 0 && size_each <= n && step > 0, "unfold: windows of ", size_each, " every ", step,
        " do not fit size ", n, " (dimension ", at, " of ", shape(), ")");
  Layout l = layout_;
  l.shape[at] = (n - size_each) / step + 1;
  l.shape.push_back(size_each);
  l.strides.push_back(l.strides[at]);
  l.strides[at] *= step;
  // Windows may overlap, so the gradient is gathered one place of the window at a time: within a place none do.
  return view_of("unfold", *this, l, [from = shape(), at, size_each, step](const Tensor& g, const Kept&) {
    Tensor sum;
    int64_t windows = g.shape()[at], reach = (windows - 1) * step + 1;
    for (int64_t i = 0; i < size_each; ++i) {
      auto place = [at, i, reach, step](const Tensor& whole) { return whole.slice(at, i, i + reach, step); };
      Tensor part = embed(g.select(-1, i), from, place);
      sum = sum.defined() ? sum + part : part;
    }
    return grads(sum);
  });
}

Tensor Tensor::diagonal() const {
  check(dim() >= 2, "diagonal: expected at least 2 dimensions, got shape ", shape());
  Layout l = layout_;
  int m = dim() - 2;
  int64_t count = std::min(l.shape[m], l.shape[m + 1]), stride = l.strides[m] + l.strides[m + 1];
  l.shape.erase(m + 1);
  l.strides.erase(m + 1);
  l.shape[m] = count;
  l.strides[m] = stride;
  return part_of("diagonal", *this, l, [](const Tensor& whole) { return whole.diagonal(); });
}

// --- copies --------------------------------------------------------------------------------------------------------

Tensor Tensor::clone() const {
  Tensor y = empty_like(*this);
  kernels(*this).copy(raw(), y.raw());
  return record("clone", {*this}, std::move(y), Keep::none, [](const Tensor& g, const Kept&) { return grads(g); });
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::to(DType wanted) const {
  if (wanted == dtype()) return *this;
  Tensor y = empty(shape(), {.dtype = wanted, .device = device()});
  kernels(*this).cast(raw(), wanted, y.raw());
  if (!is_floating(wanted)) return y;
  return record("to", {*this}, std::move(y), Keep::none,
                [from = dtype()](const Tensor& g, const Kept&) { return grads(g.to(from)); });
}

Tensor Tensor::to(Device wanted) const {
  if (wanted == device()) return *this;
  Tensor x = plain(*this), y = empty(shape(), {.dtype = dtype(), .device = wanted});
  y.storage()->copy_from(*x.storage(), x.layout().offset);
  return record("to", {*this}, std::move(y), Keep::none,
                [from = device()](const Tensor& g, const Kept&) { return grads(g.to(from)); });
}

Tensor Tensor::repeat(const Dims& times) const {
  check(times.size() >= dim(), "repeat: ", times, " has fewer entries than shape ", shape(), " has dimensions");
  Tensor y = *this;
  while (y.dim() < times.size()) y = y.unsqueeze(0);
  for (int i = 0; i < times.size(); ++i) {
    check(times[i] >= 0, "repeat: ", times, " has a negative count");
    if (times[i] == 1) continue;
    // Dimension i in front of itself, stretched, and both made one.
    Shape stretched = y.shape(), joined = y.shape();
    stretched.insert(i, times[i]);
    joined[i] *= times[i];
    y = y.unsqueeze(i).expand(stretched).reshape(joined);
  }
  return y;
}

Tensor Tensor::flip(const Dims& dims) const {
  Dims wrapped = dims.empty() ? Dims{} : wrap_dims("flip", dims, dim());
  Tensor y = empty_like(*this);
  Layout backwards = layout_;
  for (int64_t d : wrapped) {
    if (backwards.shape[int(d)] > 0) backwards.offset += (backwards.shape[int(d)] - 1) * backwards.strides[int(d)];
    backwards.strides[int(d)] *= -1;
  }
  kernels(*this).copy(Tensor(storage_, backwards).raw(), y.raw());
  return record("flip", {*this}, std::move(y), Keep::none,
                [wrapped](const Tensor& g, const Kept&) { return grads(g.flip(wrapped)); });
}

Tensor Tensor::roll(int64_t shift, int64_t d) const {
  int64_t n = size(d);
  if (n == 0 || (shift %= n) == 0) return clone();
  if (shift < 0) shift += n;
  return cat({narrow(d, n - shift, shift), narrow(d, 0, n - shift)}, d);
}

static Tensor triangle(const char* op, const Tensor& x, int64_t diagonal, bool upper) {
  check(x.dim() >= 2, op, ": expected at least 2 dimensions, got shape ", x.shape());
  Tensor y = empty_like(x);
  kernels(x).triangle(x.raw(), y.raw(), diagonal, upper);
  return record(op, {x}, std::move(y), Keep::none, [diagonal, upper](const Tensor& g, const Kept&) {
    return grads(upper ? g.triu(diagonal) : g.tril(diagonal));
  });
}

Tensor Tensor::tril(int64_t diagonal) const { return triangle("tril", *this, diagonal, false); }
Tensor Tensor::triu(int64_t diagonal) const { return triangle("triu", *this, diagonal, true); }

Tensor cat(const std::vector<Tensor>& parts, int64_t d) {
  check(!parts.empty(), "cat: there is nothing to join");
  const Tensor& first = parts[0];
  check(first.dim() > 0, "cat: scalars cannot be joined; stack them");
  int at = wrap_dim("cat", d, first.dim());
  Shape shape = first.shape();
  shape[at] = 0;
  for (const Tensor& part : parts) {
    check_together("cat", first, part);
    check(part.dtype() == first.dtype(), "cat: parts of ", first.dtype(), " and ", part.dtype());
    Shape expected = first.shape();
    if (part.dim() == first.dim()) expected[at] = part.shape()[at];
    check(part.shape() == expected, "cat: shapes ", first.shape(), " and ", part.shape(),
          " differ in another dimension than ", at);
    shape[at] += part.shape()[at];
  }
  Tensor y = empty(shape, first.options());
  std::vector<int64_t> sizes;
  int64_t start = 0;
  {
    NoGrad guard;
    for (const Tensor& part : parts) {
      sizes.push_back(part.shape()[at]);
      kernels(y).copy(part.raw(), y.narrow(at, start, sizes.back()).raw());
      start += sizes.back();
    }
  }
  return record("cat", parts, std::move(y), Keep::none, [at, sizes](const Tensor& g, const Kept& k) {
    Gradients gradients;
    int64_t from = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      gradients.push_back(k.needs(int(i)) ? g.narrow(at, from, sizes[i]) : Tensor());
      from += sizes[i];
    }
    return gradients;
  });
}

Tensor stack(const std::vector<Tensor>& parts, int64_t d) {
  check(!parts.empty(), "stack: there is nothing to join");
  std::vector<Tensor> rows;
  int at = wrap_dim("stack", d, parts[0].dim() + 1);
  for (const Tensor& part : parts) {
    check(part.shape() == parts[0].shape(), "stack: shapes ", parts[0].shape(), " and ", part.shape(), " differ");
    rows.push_back(part.unsqueeze(at));
  }
  return cat(rows, at);
}

Tensor pad(const Tensor& x, const Dims& amounts, double value) {
  check(amounts.size() % 2 == 0 && amounts.size() <= 2 * x.dim(), "pad: amounts ", amounts,
        " must be pairs, at most one for each dimension of ", x.shape());
  Tensor inner = x;
  Shape shape = x.shape();
  Dims before = Dims::filled(x.dim(), 0);
  for (int i = 0; i < amounts.size() / 2; ++i) {
    int at = x.dim() - 1 - i;
    int64_t front = amounts[2 * i], back = amounts[2 * i + 1];
    shape[at] += front + back;
    check(shape[at] >= 0, "pad: amounts ", amounts, " take more from ", x.shape(), " than there is");
    int64_t skip = std::max<int64_t>(-front, 0);
    inner = inner.narrow(at, skip, inner.shape()[at] - skip - std::max<int64_t>(-back, 0));
    before[at] = std::max<int64_t>(front, 0);
  }
  auto middle = [before, size = inner.shape()](const Tensor& whole) {
    Tensor part = whole;
    for (int i = 0; i < size.size(); ++i) part = part.narrow(i, before[i], size[i]);
    return part;
  };
  Tensor y = full(shape, value, x.options());
  {
    NoGrad guard;
    kernels(y).copy(inner.raw(), middle(y).raw());
  }
  return record("pad", {inner}, std::move(y), Keep::none,
                [middle](const Tensor& g, const Kept&) { return grads(middle(g)); });
}

}  // namespace gradus
