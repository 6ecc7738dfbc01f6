// Arithmetic and comparison of two tensors, or of a tensor and a number.
#include <cmath>

#include "autograd/ops/common.h"

namespace gradus {

Tensor sum_to(const Tensor& g, const Shape& shape) {
  if (g.shape() == shape) return g;
  Dims dims;
  int extra = g.dim() - shape.size();
  for (int i = 0; i < g.dim(); ++i)
    if (i < extra || (shape[i - extra] == 1 && g.shape()[i] != 1)) dims.push_back(i);
  return (dims.empty() ? g : g.sum(dims, true)).reshape(shape);
}

Tensor as_floating(const Tensor& x) { return is_floating(x.dtype()) ? x : x.to(float32); }

//! [align]
std::pair<Tensor, Tensor> align(const char* op, const Tensor& a, const Tensor& b) {
  check(a.device() == b.device(), op, ": one tensor is on ", a.device(), ", the other on ", b.device());
  DType dtype = promote(a.dtype(), b.dtype());
  Shape shape = broadcast_shapes(op, a.shape(), b.shape());
  return {a.to(dtype).expand(shape), b.to(dtype).expand(shape)};
}
//! [align]

namespace {

bool aligned(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() && a.device() == b.device();
}

// `a op b` with this gradient rule; operands are aligned first, so that no rule ever sees broadcasting.
Tensor binary(const char* name, Binary op, const Tensor& a, const Tensor& b, Keep keep,
              Gradients (*rule)(const Tensor& g, const Kept& k)) {
  if (!aligned(a, b)) {
    auto [x, y] = align(name, a, b);
    return binary(name, op, x, y, keep, rule);
  }
  Tensor y = empty_like(a);
  kernels(a).binary(op, a.raw(), b.raw(), y.raw());
  return record(name, {a, b}, std::move(y), keep, rule);
}

Tensor compare(const char* name, Compare op, const Tensor& a, const Tensor& b) {
  if (!aligned(a, b)) {
    NoGrad guard;
    auto [x, y] = align(name, a, b);
    return compare(name, op, x, y);
  }
  Tensor y = empty(a.shape(), {.dtype = boolean, .device = a.device()});
  kernels(a).compare(op, a.raw(), b.raw(), y.raw());
  return y;
}

// A number as a tensor to compare x with: of x's dtype, or of one that holds the number too.
Tensor constant(const Tensor& x, double value) {
  bool integral = !is_floating(x.dtype());
  DType dtype = !integral ? x.dtype() : value == std::nearbyint(value) ? int64 : float64;
  return full({}, value, {.dtype = dtype, .device = x.device()});
}

// scale x + shift. A whole-number constant keeps an integer tensor's dtype.
Tensor affine(const char* name, const Tensor& x, double scale, double shift) {
  if (!is_floating(x.dtype())) {
    bool whole = scale == std::nearbyint(scale) && shift == std::nearbyint(shift);
    if (!whole) return affine(name, x.to(float32), scale, shift);
    if (x.dtype() == boolean) return affine(name, x.to(int64), scale, shift);
  }
  Tensor y = empty_like(x);
  kernels(x).unary(Unary::affine, x.raw(), y.raw(), scale, shift);
  return record(name, {x}, std::move(y), Keep::none,
                [scale](const Tensor& g, const Kept&) { return grads(scale == 1 ? g : g * scale); });
}

Tensor predicate(Predicate op, const Tensor& x) {
  Tensor y = empty(x.shape(), {.dtype = boolean, .device = x.device()});
  kernels(x).predicate(op, x.raw(), y.raw());
  return y;
}

// The part of the gradient that goes to one of two: all where it was chosen, half where they tied.
Tensor share(const Tensor& chosen, const Tensor& tied, DType dtype) {
  return chosen.to(dtype) + tied.to(dtype) * 0.5;
}

void expect_boolean(const char* op, const Tensor& x) {
  check(x.dtype() == boolean, op, ": expected a bool tensor, got ", x.dtype());
}

}  // namespace

static Gradients add_rule(const Tensor& g, const Kept&) { return grads(g, g); }

Tensor operator+(const Tensor& a, const Tensor& b) { return binary("add", Binary::add, a, b, Keep::none, add_rule); }

Tensor operator-(const Tensor& a, const Tensor& b) {
  return binary("sub", Binary::sub, a, b, Keep::none,
                [](const Tensor& g, const Kept& k) { return grads(g, k.needs(1) ? -g : Tensor()); });
}

Tensor operator*(const Tensor& a, const Tensor& b) {
  return binary("mul", Binary::mul, a, b, Keep::inputs, [](const Tensor& g, const Kept& k) {
    return grads(k.needs(0) ? g * k.input(1) : Tensor(), k.needs(1) ? g * k.input(0) : Tensor());
  });
}

Tensor operator/(const Tensor& a, const Tensor& b) {
  if (!is_floating(promote(a.dtype(), b.dtype()))) return a.to(float32) / b.to(float32);
  return binary("div", Binary::div, a, b, Keep::both, [](const Tensor& g, const Kept& k) {
    Tensor da = g / k.input(1);
    return grads(da, k.needs(1) ? -(da * k.output()) : Tensor());
  });
}

Tensor operator+(const Tensor& a, double b) { return affine("add", a, 1, b); }
Tensor operator-(const Tensor& a, double b) { return affine("sub", a, 1, -b); }
Tensor operator*(const Tensor& a, double b) { return affine("mul", a, b, 0); }
Tensor operator/(const Tensor& a, double b) {
  Tensor x = as_floating(a);
  return x / full({}, b, x.options());
}

// Into a's own memory if the result has a's shape and type and nobody can tell; else the op on lasting tensors.
static bool becomes_result(const Tensor& a) {
  return is_floating(a.dtype()) && !a.requires_grad() && is_ours_alone(a) && !anomaly_mode();
}
static Tensor binary_into(Binary op, Tensor&& a, const Tensor& b, Tensor (*lasting)(const Tensor&, const Tensor&)) {
  if (!becomes_result(a) || !aligned(a, b) || any_requires_grad({b})) return lasting(a, b);
  kernels(a).binary(op, a.raw(), b.raw(), a.raw());
  return std::move(a);
}
static Tensor affine_into(const char* name, Tensor&& x, double scale, double shift) {
  if (!becomes_result(x)) return affine(name, x, scale, shift);
  kernels(x).unary(Unary::affine, x.raw(), x.raw(), scale, shift);
  return std::move(x);
}

// In a graph, too: no rule needs what was added.
Tensor operator+(Tensor&& a, const Tensor& b) {
  if (!is_floating(a.dtype()) || !is_ours_alone(a) || !aligned(a, b)) return std::as_const(a) + b;
  Tensor y = a.detach();
  kernels(y).binary(Binary::add, y.raw(), b.raw(), y.raw());
  y = record("add", {a, b}, std::move(y), Keep::none, add_rule);
  a = Tensor();  // or the next op would not find y alone
  return y;
}
Tensor operator-(Tensor&& a, const Tensor& b) { return binary_into(Binary::sub, std::move(a), b, operator-); }
Tensor operator*(Tensor&& a, const Tensor& b) { return binary_into(Binary::mul, std::move(a), b, operator*); }
Tensor operator/(Tensor&& a, const Tensor& b) { return binary_into(Binary::div, std::move(a), b, operator/); }
Tensor operator+(Tensor&& a, double b) { return affine_into("add", std::move(a), 1, b); }
Tensor operator-(Tensor&& a, double b) { return affine_into("sub", std::move(a), 1, -b); }
Tensor operator*(Tensor&& a, double b) { return affine_into("mul", std::move(a), b, 0); }
Tensor operator-(Tensor&& x) { return affine_into("neg", std::move(x), -1, 0); }

Tensor operator+(double a, const Tensor& b) { return affine("add", b, 1, a); }
Tensor operator-(double a, const Tensor& b) { return affine("sub", b, -1, a); }
Tensor operator*(double a, const Tensor& b) { return affine("mul", b, a, 0); }
Tensor operator/(double a, const Tensor& b) {
  Tensor x = as_floating(b);
  return full({}, a, x.options()) / x;
}
Tensor operator-(const Tensor& x) { return affine("neg", x, -1, 0); }

Tensor maximum(const Tensor& a, const Tensor& b) {
  const KeepInBfloat16 whole(false);  // rounded, others would be larger
  return binary("maximum", Binary::maximum, a, b, Keep::inputs, [](const Tensor& g, const Kept& k) {
    Tensor x = k.input(0).detach(), y = k.input(1).detach();
    return grads(g * share(x > y, x == y, g.dtype()), g * share(y > x, x == y, g.dtype()));
  });
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  const KeepInBfloat16 whole(false);
  return binary("minimum", Binary::minimum, a, b, Keep::inputs, [](const Tensor& g, const Kept& k) {
    Tensor x = k.input(0).detach(), y = k.input(1).detach();
    return grads(g * share(x < y, x == y, g.dtype()), g * share(y < x, x == y, g.dtype()));
  });
}

Tensor pow(const Tensor& base, const Tensor& exponent) {
  if (!is_floating(promote(base.dtype(), exponent.dtype()))) return pow(base.to(float32), exponent.to(float32));
  return binary("pow", Binary::pow, base, exponent, Keep::both, [](const Tensor& g, const Kept& k) {
    Tensor x = k.input(0), p = k.input(1);
    // Where p is 0 the first is 0 even for x = 0, and where x is 0 so is the second.
    Tensor dx = k.needs(0) ? (g * p * pow(x, p - 1.0)).masked_fill(p.detach() == 0.0, 0) : Tensor();
    Tensor dp = k.needs(1) ? g * k.output() * log(x.masked_fill(x.detach() == 0.0, 1)) : Tensor();
    return grads(dx, dp);
  });
}

Tensor operator==(const Tensor& a, const Tensor& b) { return compare("eq", Compare::eq, a, b); }
Tensor operator!=(const Tensor& a, const Tensor& b) { return compare("ne", Compare::ne, a, b); }
Tensor operator<(const Tensor& a, const Tensor& b) { return compare("lt", Compare::lt, a, b); }
Tensor operator<=(const Tensor& a, const Tensor& b) { return compare("le", Compare::le, a, b); }
Tensor operator>(const Tensor& a, const Tensor& b) { return compare("gt", Compare::gt, a, b); }
Tensor operator>=(const Tensor& a, const Tensor& b) { return compare("ge", Compare::ge, a, b); }
Tensor operator==(const Tensor& a, double b) { return a == constant(a, b); }
Tensor operator!=(const Tensor& a, double b) { return a != constant(a, b); }
Tensor operator<(const Tensor& a, double b) { return a < constant(a, b); }
Tensor operator<=(const Tensor& a, double b) { return a <= constant(a, b); }
Tensor operator>(const Tensor& a, double b) { return a > constant(a, b); }
Tensor operator>=(const Tensor& a, double b) { return a >= constant(a, b); }

Tensor logical_and(const Tensor& a, const Tensor& b) {
  expect_boolean("logical_and", a);
  expect_boolean("logical_and", b);
  return binary("logical_and", Binary::minimum, a, b, Keep::none, nullptr);
}

Tensor logical_or(const Tensor& a, const Tensor& b) {
  expect_boolean("logical_or", a);
  expect_boolean("logical_or", b);
  return binary("logical_or", Binary::maximum, a, b, Keep::none, nullptr);
}

Tensor logical_not(const Tensor& x) { return predicate(Predicate::logical_not, x); }
Tensor isfinite(const Tensor& x) { return predicate(Predicate::isfinite, x); }
Tensor isnan(const Tensor& x) { return predicate(Predicate::isnan, x); }
Tensor isinf(const Tensor& x) { return predicate(Predicate::isinf, x); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  expect_boolean("where", condition);
  Shape shape = broadcast_shapes("where", condition.shape(), broadcast_shapes("where", a.shape(), b.shape()));
  auto [x, y] = align("where", a, b);
  check_together("where", condition, x);
  x = x.expand(shape);
  y = y.expand(shape);
  Tensor c = condition.expand(shape), out = empty_like(x);
  kernels(x).where(c.raw(), x.raw(), y.raw(), out.raw());
  auto rule = [](const Tensor& g, const Kept& k) {
    Tensor zero = zeros({}, g.options());
    return grads(k.needs(0) ? where(k.extra(), g, zero) : Tensor(),
                 k.needs(1) ? where(k.extra(), zero, g) : Tensor());
  };
  return record("where", {x, y}, std::move(out), Keep::none, rule, {c});
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  if (a.shape() != b.shape()) return false;
  std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) {
    if (equal_nan && std::isnan(x[i]) && std::isnan(y[i])) continue;
    if (x[i] == y[i]) continue;  // equal infinities
    if (std::isinf(y[i]) || !(std::fabs(x[i] - y[i]) <= atol + rtol * std::fabs(y[i]))) return false;
  }
  return true;
}

bool equal(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  return a.dtype() == bfloat16 ? allclose(a, b, 0, 0) : (a == b).all().item() != 0;
}

}  // namespace gradus
