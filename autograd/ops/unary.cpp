// Functions of one tensor, element by element.
#include <cmath>
#include <numbers>

#include "autograd/ops/common.h"

namespace gradus {
namespace {

// op(x) with this gradient rule; a and b are the op's constants (tensor/kernels/table.h).
Tensor unary(const char* name, Unary op, const Tensor& x, Keep keep, Rule rule, double a = 0, double b = 0) {
  Tensor y = empty_like(x);
  kernels(x).unary(op, x.raw(), y.raw(), a, b);
  return record(name, {x}, std::move(y), keep, std::move(rule));
}

// The result of a function that is cheaper to compute again than to keep beside its input.
Tensor remade(Tensor y, Remake remake) {
  if (y.node()) y.node()->remake = remake;
  return y;
}

// g op'(kept) in one pass: for when nobody differentiates the result. Rules give the formula for when somebody does.
// It goes into g itself where only the backward pass holds that, which drops it once its rule has run.
Tensor fused(Unary op, const Tensor& kept, const Tensor& g, double a = 0, double b = 0) {
  Tensor dx = is_ours_alone(g) ? g : empty_like(g);
  kernels(g).unary_grad(op, kept.raw(), g.raw(), dx.raw(), a, b);
  return dx;
}

// For steps: flat everywhere that they have a derivative.
Gradients zero_rule(const Tensor& g, const Kept&) { return grads(zeros_like(g)); }

Tensor step(const char* name, Unary op, const Tensor& x) {
  if (!is_floating(x.dtype())) return x.clone();
  return unary(name, op, x, Keep::none, zero_rule);
}

// The density of the standard normal distribution, and its distribution function.
Tensor normal_density(const Tensor& x) {
  return exp(square(x) * -0.5) * (0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2);
}
Tensor normal_cdf(const Tensor& x) { return (erf(x * (1 / std::numbers::sqrt2)) + 1.0) * 0.5; }

}  // namespace

Tensor abs(const Tensor& x) {
  return unary("abs", Unary::abs, x, Keep::inputs, [](const Tensor& g, const Kept& k) {
    return grads(grad_enabled() ? g * sign(k.input()) : fused(Unary::abs, k.input(), g));
  });
}

Tensor sign(const Tensor& x) { return unary("sign", Unary::sign, x, Keep::none, zero_rule); }
Tensor floor(const Tensor& x) { return step("floor", Unary::floor, x); }
Tensor ceil(const Tensor& x) { return step("ceil", Unary::ceil, x); }
Tensor round(const Tensor& x) { return step("round", Unary::round, x); }

Tensor square(const Tensor& x) {
  return unary("square", Unary::square, x, Keep::inputs,
               [](const Tensor& g, const Kept& k) { return grads(g * k.input() * 2.0); });
}

Tensor exp(const Tensor& x) {
  return unary("exp", Unary::exp, as_floating(x), Keep::output,
               [](const Tensor& g, const Kept& k) { return grads(g * k.output()); });
}

Tensor expm1(const Tensor& x) {
  return unary("expm1", Unary::expm1, as_floating(x), Keep::output,
               [](const Tensor& g, const Kept& k) { return grads(g * (k.output() + 1.0)); });
}

Tensor log(const Tensor& x) {
  return unary("log", Unary::log, as_floating(x), Keep::inputs,
               [](const Tensor& g, const Kept& k) { return grads(g / k.input()); });
}

Tensor log1p(const Tensor& x) {
  const KeepInBfloat16 whole(false);  // the rule divides by what may be next to 0
  return unary("log1p", Unary::log1p, as_floating(x), Keep::inputs,
               [](const Tensor& g, const Kept& k) { return grads(g / (k.input() + 1.0)); });
}

Tensor sqrt(const Tensor& x) {
  return unary("sqrt", Unary::sqrt, as_floating(x), Keep::output,
               [](const Tensor& g, const Kept& k) { return grads(g / (k.output() * 2.0)); });
}

Tensor rsqrt(const Tensor& x) {
  return unary("rsqrt", Unary::rsqrt, as_floating(x), Keep::output, [](const Tensor& g, const Kept& k) {
    Tensor y = k.output();
    return grads(g * y * square(y) * -0.5);
  });
}

Tensor reciprocal(const Tensor& x) {
  return unary("reciprocal", Unary::reciprocal, as_floating(x), Keep::output,
               [](const Tensor& g, const Kept& k) { return grads(-(g * square(k.output()))); });
}

//! [tanh]
Tensor tanh(const Tensor& x) {
  return unary("tanh", Unary::tanh, as_floating(x), Keep::output, [](const Tensor& g, const Kept& k) {
    return grads(grad_enabled() ? g * (1.0 - square(k.output())) : fused(Unary::tanh, k.output(), g));
  });
}
//! [tanh]

Tensor sigmoid(const Tensor& x) {
  return unary("sigmoid", Unary::sigmoid, as_floating(x), Keep::output, [](const Tensor& g, const Kept& k) {
    Tensor y = k.output();
    return grads(grad_enabled() ? g * y * (1.0 - y) : fused(Unary::sigmoid, y, g));
  });
}

Tensor erf(const Tensor& x) {
  return unary("erf", Unary::erf, as_floating(x), Keep::inputs, [](const Tensor& g, const Kept& k) {
    return grads(g * exp(-square(k.input())) * (2 * std::numbers::inv_sqrtpi));
  });
}

Tensor sin(const Tensor& x) {
  return unary("sin", Unary::sin, as_floating(x), Keep::inputs,
               [](const Tensor& g, const Kept& k) { return grads(g * cos(k.input())); });
}

Tensor cos(const Tensor& x) {
  return unary("cos", Unary::cos, as_floating(x), Keep::inputs,
               [](const Tensor& g, const Kept& k) { return grads(-(g * sin(k.input()))); });
}

Tensor pow(const Tensor& base, double exponent) {
  auto rule = [exponent](const Tensor& g, const Kept& k) {
    return grads(exponent == 0 ? zeros_like(g) : g * pow(k.input(), exponent - 1) * exponent);
  };
  return unary("pow", Unary::pow, as_floating(base), Keep::inputs, rule, exponent);
}

Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: the range from ", low, " to ", high, " is empty");
  auto rule = [low, high](const Tensor& g, const Kept& k) {
    Tensor at = k.input().detach();
    if (!grad_enabled()) return grads(fused(Unary::clamp, at, g, low, high));
    return grads(where(logical_and(at > low, at < high), g, zeros_like(g)));
  };
  const KeepInBfloat16 whole(false);  // rounded, others would be within the range
  return unary("clamp", Unary::clamp, x, Keep::inputs, rule, low, high);
}

// Positive where x is. Keeping y, which the next op mostly keeps too, lets go of x.
static Gradients relu_rule(const Tensor& g, const Kept& k) {
  Tensor at = k.output().detach();
  return grads(grad_enabled() ? g.masked_fill(at <= 0.0, 0) : fused(Unary::relu, at, g));
}

Tensor relu(const Tensor& x) { return unary("relu", Unary::relu, x, Keep::output, relu_rule); }

Tensor relu(Tensor&& x) {
  if (!is_ours_alone(x)) return relu(std::as_const(x));
  Tensor y = x.detach();
  kernels(y).unary(Unary::relu, y.raw(), y.raw(), 0, 0);
  return record("relu", {x}, std::move(y), Keep::output, relu_rule);
}

Tensor leaky_relu(const Tensor& x, double slope) {
  auto rule = [slope](const Tensor& g, const Kept& k) {
    Tensor at = k.input().detach();
    return grads(grad_enabled() ? where(at > 0.0, g, g * slope) : fused(Unary::leaky_relu, at, g, slope));
  };
  return unary("leaky_relu", Unary::leaky_relu, as_floating(x), Keep::inputs, rule, slope);
}

Tensor gelu(const Tensor& x, const std::string& approximate) {
  check(approximate == "none" || approximate == "tanh", "gelu: approximate is '", approximate,
        "', expected none or tanh");
  if (approximate == "none") {
    auto rule = [](const Tensor& g, const Kept& k) {
      Tensor at = k.input();
      if (!grad_enabled()) return grads(fused(Unary::gelu, at, g));
      return grads(g * (normal_cdf(at) + at * normal_density(at)));
    };
    return remade(unary("gelu", Unary::gelu, as_floating(x), Keep::inputs, rule),
                  [](const Tensor& input) { return gelu(input, "none"); });
  }
  auto rule = [](const Tensor& g, const Kept& k) {
    Tensor at = k.input();
    if (!grad_enabled()) return grads(fused(Unary::gelu_tanh, at, g));
    constexpr double scale = std::numbers::sqrt2 * std::numbers::inv_sqrtpi, cubic = 0.044715;
    Tensor at2 = square(at);
    Tensor t = tanh(at * (at2 * cubic + 1.0) * scale);
    Tensor slope = (at2 * (3 * cubic) + 1.0) * scale;
    return grads(g * ((t + 1.0) * 0.5 + at * (1.0 - square(t)) * slope * 0.5));
  };
  return remade(unary("gelu_tanh", Unary::gelu_tanh, as_floating(x), Keep::inputs, rule),
                [](const Tensor& input) { return gelu(input, "tanh"); });
}

Tensor silu(const Tensor& x) {
  auto rule = [](const Tensor& g, const Kept& k) {
    Tensor at = k.input();
    if (!grad_enabled()) return grads(fused(Unary::silu, at, g));
    Tensor s = sigmoid(at);
    return grads(g * s * (at * (1.0 - s) + 1.0));
  };
  return remade(unary("silu", Unary::silu, as_floating(x), Keep::inputs, rule),
                [](const Tensor& input) { return silu(input); });
}

Tensor softplus(const Tensor& x, double beta, double threshold) {
  check(beta > 0, "softplus: beta is ", beta, ", expected above 0");
  auto rule = [beta, threshold](const Tensor& g, const Kept& k) {
    Tensor at = k.input();
    if (!grad_enabled()) return grads(fused(Unary::softplus, at, g, beta, threshold));
    return grads(where(at.detach() * beta > threshold, g, g * sigmoid(at * beta)));
  };
  return unary("softplus", Unary::softplus, as_floating(x), Keep::inputs, rule, beta, threshold);
}

}  // namespace gradus
