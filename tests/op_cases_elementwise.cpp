// Rows of ops/binary.cpp and ops/unary.cpp.
#include "tests/op_cases.h"

namespace gradus::optable {

namespace {

// A matrix, a vector longer than two SIMD registers and odd, a scalar, one element, none, four dimensions.
std::vector<Case> unary_cases(double low = -2, double high = 2) {
  return {{real({4, 5}, low, high)}, {real({37}, low, high)},   {real({}, low, high)},
          {real({1}, low, high)},    {real({0, 3}, low, high)}, {real({2, 3, 1, 4}, low, high)}};
}
RowOptions large_unary(double low = -2, double high = 2) { return {.large = {real({301, 403}, low, high)}}; }

// The same for two, with every way of broadcasting; the second within [low, high).
std::vector<Case> binary_cases(double low = -2, double high = 2, double low0 = -2, double high0 = 2) {
  return {
      {real({4, 5}, low0, high0), real({4, 5}, low, high)},      {real({37}, low0, high0), real({37}, low, high)},
      {real({3, 1, 5}, low0, high0), real({4, 1}, low, high)},   {real({}, low0, high0), real({2, 3}, low, high)},
      {real({2, 3}, low0, high0), real({1, 1, 1}, low, high)},   {real({0, 3}, low0, high0), real({3}, low, high)},
      {real({2, 3, 1, 4}, low0, high0), real({1, 4}, low, high)}};
}
RowOptions large_binary(double low = -2, double high = 2) {
  return {.large = {real({301, 403}, low, high), real({403}, low, high)}};
}

const RowOptions at_kink = {.check = Check::golden_only};

std::vector<Case> compared() {  // equal, smaller and larger ones, infinities and NaN
  return {{given({2, 4}, {1, 2, 3, inf, -inf, nan, 0, -0.0}), given({2, 4}, {1, 3, 2, inf, inf, nan, -0.0, 5})},
          {integer({37}, 0, 4), integer({37}, 0, 4)},
          {integer({3, 1}, 0, 3, uint8), real({4}, 0, 3)},
          {integer({0, 3}, 0, 3), integer({3}, 0, 3)},
          {mask({4, 5}), mask({5})}};
}
std::vector<Case> compared_to_one() {
  return {{given({7}, {1, 2, 0.5, inf, -inf, nan, 0})}, {integer({37}, 0, 3)}, {integer({2, 0}, 0, 3)}};
}

void add_binary(Table& t) {
  t.add(
      "operator+(Tensor, Tensor)", [](X x) -> Outputs { return x[0] + x[1]; }, "x[0] + x[1]", binary_cases(),
      large_binary());
  t.add(
      "operator-(Tensor, Tensor)", [](X x) -> Outputs { return x[0] - x[1]; }, "x[0] - x[1]", binary_cases(),
      large_binary());
  t.add(
      "operator*(Tensor, Tensor)", [](X x) -> Outputs { return x[0] * x[1]; }, "x[0] * x[1]", binary_cases(),
      large_binary());
  t.add(
      "operator/(Tensor, Tensor)", [](X x) -> Outputs { return x[0] / x[1]; }, "x[0] / x[1]", binary_cases(0.5, 2.5),
      large_binary(0.5, 2.5));
  t.add(
      "operator/(Tensor, Tensor)", [](X x) -> Outputs { return x[0] / x[1]; }, "x[0] / x[1]",
      {{given({6}, {1, -1, 0, 5, nan, inf}), given({6}, {0, 0, 0, inf, 1, inf})}}, no_gradient);
  // The same tensor twice.
  t.add("operator*(Tensor, Tensor)", [](X x) -> Outputs { return x[0] * x[0] + x[0]; }, "x[0] * x[0] + x[0]",
        {{real({3, 4})}});
  t.add(
      "operator+(Tensor, double)", [](X x) -> Outputs { return x[0] + 1.5; }, "x[0] + 1.5", unary_cases(),
      large_unary());
  t.add(
      "operator-(Tensor, double)", [](X x) -> Outputs { return x[0] - 1.5; }, "x[0] - 1.5", unary_cases());
  t.add(
      "operator*(Tensor, double)", [](X x) -> Outputs { return x[0] * 1.5; }, "x[0] * 1.5", unary_cases());
  t.add(
      "operator/(Tensor, double)", [](X x) -> Outputs { return x[0] / 1.5; }, "x[0] / 1.5", unary_cases());
  t.add(
      "operator+(double, Tensor)", [](X x) -> Outputs { return 1.5 + x[0]; }, "1.5 + x[0]", unary_cases());
  t.add(
      "operator-(double, Tensor)", [](X x) -> Outputs { return 1.5 - x[0]; }, "1.5 - x[0]", unary_cases());
  t.add(
      "operator*(double, Tensor)", [](X x) -> Outputs { return 1.5 * x[0]; }, "1.5 * x[0]", unary_cases());
  t.add(
      "operator/(double, Tensor)", [](X x) -> Outputs { return 1.5 / x[0]; }, "1.5 / x[0]", unary_cases(0.5, 2.5));
  t.add(
      "operator-(Tensor)", [](X x) -> Outputs { return -x[0]; }, "-x[0]", unary_cases());

  // Other types, and mixtures of them.
  std::vector<Case> whole = {{integer({4, 5}, -9, 9), integer({5}, -9, 9)},
                             {integer({19}, 0, 250, uint8), integer({19}, 0, 250, uint8)},
                             {integer({3, 4}, 0, 9, uint8), integer({4}, -9, 9)},
                             {integer({3, 4}, 0, 9), mask({3, 1})},
                             {integer({3, 4}, -9, 9), constant(real({4}))}};
  t.add(
      "operator+(Tensor, Tensor)", [](X x) -> Outputs { return x[0] + x[1]; }, "x[0] + x[1]", whole, no_gradient);
  t.add(
      "operator-(Tensor, Tensor)", [](X x) -> Outputs { return x[0] - x[1]; }, "x[0] - x[1]",
      {whole[0], whole[1], whole[2], whole[4]}, no_gradient);
  t.add(
      "operator*(Tensor, Tensor)", [](X x) -> Outputs { return x[0] * x[1]; }, "x[0] * x[1]", whole, no_gradient);
  t.add(
      "operator/(Tensor, Tensor)", [](X x) -> Outputs { return x[0] / x[1]; }, "x[0] / x[1]",
      {{integer({4, 5}, -9, 9), integer({5}, 1, 9)}, {integer({7}, 0, 250, uint8), integer({7}, 1, 9)}}, no_gradient);
  t.add(
      "operator+(Tensor, double)", [](X x) -> Outputs { return x[0] + 3; }, "x[0] + 3", {{integer({4, 5}, -9, 9)}},
      no_gradient);
  t.add(
      "operator*(double, Tensor)", [](X x) -> Outputs { return 2 * x[0]; }, "2 * x[0]",
      {{integer({4, 5}, -9, 9)}, {integer({4, 5}, 0, 99, uint8)}}, no_gradient);
  t.add(
      "operator-(Tensor)", [](X x) -> Outputs { return -x[0]; }, "-x[0]", {{integer({4, 5}, -9, 9)}}, no_gradient);
  t.add(
      "maximum", [](X x) -> Outputs { return maximum(x[0], x[1]); }, "torch.maximum(x[0], x[1])", whole, no_gradient);
  t.add(
      "minimum", [](X x) -> Outputs { return minimum(x[0], x[1]); }, "torch.minimum(x[0], x[1])", whole, no_gradient);

  t.add(
      "maximum", [](X x) -> Outputs { return maximum(x[0], x[1]); }, "torch.maximum(x[0], x[1])", binary_cases(),
      large_binary());
  t.add(
      "minimum", [](X x) -> Outputs { return minimum(x[0], x[1]); }, "torch.minimum(x[0], x[1])", binary_cases(),
      large_binary());
  // Where equal, each gets half.
  std::vector<Case> ties = {{given({5}, {1, 2, 3, 0, -1}), given({5}, {1, 3, 2, -0.0, -1})},
                            {given({2, 2}, {1, 2, 1, 0}), given({}, {1})}};
  t.add(
      "maximum", [](X x) -> Outputs { return maximum(x[0], x[1]); }, "torch.maximum(x[0], x[1])", ties, at_kink);
  t.add(
      "minimum", [](X x) -> Outputs { return minimum(x[0], x[1]); }, "torch.minimum(x[0], x[1])", ties, at_kink);
  std::vector<Case> nans = {{given({5}, {nan, 2, nan, inf, -inf}), given({5}, {1, nan, nan, 2, 2})}};
  t.add(
      "maximum", [](X x) -> Outputs { return maximum(x[0], x[1]); }, "torch.maximum(x[0], x[1])", nans, no_gradient);
  t.add(
      "minimum", [](X x) -> Outputs { return minimum(x[0], x[1]); }, "torch.minimum(x[0], x[1])", nans, no_gradient);

  t.add(
      "pow(Tensor, Tensor)", [](X x) -> Outputs { return pow(x[0], x[1]); }, "torch.pow(x[0], x[1])",
      binary_cases(-2, 2, 0.25, 2.25), large_binary(0.25, 2.25));
  t.add(
      "pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], 3); }, "torch.pow(x[0], 3)", unary_cases(),
      large_unary());
  t.add(
      "pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], -0.75); }, "torch.pow(x[0], -0.75)",
      unary_cases(0.5, 2.5));
  t.add("pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], 2); }, "torch.pow(x[0], 2)", {{real({4, 5})}});
  t.add("pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], 1); }, "torch.pow(x[0], 1)", {{real({4, 5})}});
  t.add("pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], 0); }, "torch.pow(x[0], 0)", {{real({4, 5})}});
  t.add(
      "pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], 2); }, "torch.pow(x[0], 2)",
      {{given({3}, {0, 1, -1})}}, at_kink);
  t.add(
      "pow(Tensor, double)", [](X x) -> Outputs { return pow(x[0], 0.5); }, "torch.pow(x[0], 0.5)",
      {{given({3}, {4, 0, -1})}}, no_gradient);
  t.add(
      "pow(Tensor, Tensor)", [](X x) -> Outputs { return pow(x[0], x[1]); }, "torch.pow(x[0], x[1])",
      {{given({5}, {0, 0, -2, -2, 1}), given({5}, {0, 2, 3, 0.5, inf})}}, no_gradient);

  t.add(
      "operator==(Tensor, Tensor)", [](X x) -> Outputs { return x[0] == x[1]; }, "x[0] == x[1]", compared(),
      no_gradient);
  t.add(
      "operator!=(Tensor, Tensor)", [](X x) -> Outputs { return x[0] != x[1]; }, "x[0] != x[1]", compared(),
      no_gradient);
  t.add(
      "operator<(Tensor, Tensor)", [](X x) -> Outputs { return x[0] < x[1]; }, "x[0] < x[1]", compared(),
      no_gradient);
  t.add(
      "operator<=(Tensor, Tensor)", [](X x) -> Outputs { return x[0] <= x[1]; }, "x[0] <= x[1]", compared(),
      no_gradient);
  t.add(
      "operator>(Tensor, Tensor)", [](X x) -> Outputs { return x[0] > x[1]; }, "x[0] > x[1]", compared(),
      no_gradient);
  t.add(
      "operator>=(Tensor, Tensor)", [](X x) -> Outputs { return x[0] >= x[1]; }, "x[0] >= x[1]", compared(),
      no_gradient);
  t.add(
      "operator==(Tensor, double)", [](X x) -> Outputs { return x[0] == 1; }, "x[0] == 1", compared_to_one(),
      no_gradient);
  t.add(
      "operator!=(Tensor, double)", [](X x) -> Outputs { return x[0] != 1; }, "x[0] != 1", compared_to_one(),
      no_gradient);
  t.add(
      "operator<(Tensor, double)", [](X x) -> Outputs { return x[0] < 1; }, "x[0] < 1", compared_to_one(),
      no_gradient);
  t.add(
      "operator<=(Tensor, double)", [](X x) -> Outputs { return x[0] <= 1; }, "x[0] <= 1", compared_to_one(),
      no_gradient);
  t.add(
      "operator>(Tensor, double)", [](X x) -> Outputs { return x[0] > 1; }, "x[0] > 1", compared_to_one(),
      no_gradient);
  t.add(
      "operator>=(Tensor, double)", [](X x) -> Outputs { return x[0] >= 1; }, "x[0] >= 1", compared_to_one(),
      no_gradient);

  std::vector<Case> masks = {
      {mask({4, 5}), mask({4, 5})}, {mask({37}), mask({1})}, {mask({3, 1}), mask({4})}, {mask({0}), mask({1})}};
  t.add(
      "logical_and", [](X x) -> Outputs { return logical_and(x[0], x[1]); }, "torch.logical_and(x[0], x[1])", masks,
      no_gradient);
  t.add(
      "logical_or", [](X x) -> Outputs { return logical_or(x[0], x[1]); }, "torch.logical_or(x[0], x[1])", masks,
      no_gradient);
  t.add(
      "logical_not", [](X x) -> Outputs { return logical_not(x[0]); }, "torch.logical_not(x[0])",
      {{mask({4, 5})}, {mask({37})}, {mask({})}, {mask({0, 2})}}, no_gradient);

  std::vector<Case> odd = {{given({7}, {1, -1, 0, inf, -inf, nan, 1e30})}, {real({37})}, {real({2, 0})}, {real({})}};
  t.add(
      "isfinite", [](X x) -> Outputs { return isfinite(x[0]); }, "torch.isfinite(x[0])", odd, no_gradient);
  t.add(
      "isnan", [](X x) -> Outputs { return isnan(x[0]); }, "torch.isnan(x[0])", odd, no_gradient);
  t.add(
      "isinf", [](X x) -> Outputs { return isinf(x[0]); }, "torch.isinf(x[0])", odd, no_gradient);

  t.add("where", [](X x) -> Outputs { return where(x[0], x[1], x[2]); }, "torch.where(x[0], x[1], x[2])",
        {{mask({4, 5}), real({4, 5}), real({4, 5})},
         {mask({37}), real({37}), real({37})},
         {mask({3, 1}), real({4}), real({})},
         {mask({4}), real({3, 1}), real({2, 1, 1})},
         {mask({0, 3}), real({0, 3}), real({3})}},
        {.large = {mask({301, 403}), real({301, 403}), real({403})}});
  // What is not chosen does not matter, nor does its gradient.
  t.add(
      "where", [](X x) -> Outputs { return where(x[0] > 0, x[0] * 2, x[1]); },
      "torch.where(x[0] > 0, x[0] * 2, x[1])", {{given({4}, {1, -1, 2, -2}), given({4}, {nan, 3, inf, 4})}}, at_kink);
}

}  // namespace

void add_elementwise(Table& t) {
  add_binary(t);

  t.add(
      "abs", [](X x) -> Outputs { return abs(x[0]); }, "torch.abs(x[0])", unary_cases(), large_unary());
  t.add(
      "sign", [](X x) -> Outputs { return sign(x[0]); }, "torch.sign(x[0])", unary_cases(), large_unary());
  t.add(
      "square", [](X x) -> Outputs { return square(x[0]); }, "torch.square(x[0])", unary_cases(), large_unary());
  t.add(
      "exp", [](X x) -> Outputs { return exp(x[0]); }, "torch.exp(x[0])", unary_cases(), large_unary());
  t.add(
      "expm1", [](X x) -> Outputs { return expm1(x[0]); }, "torch.expm1(x[0])", unary_cases(), large_unary());
  t.add(
      "log", [](X x) -> Outputs { return log(x[0]); }, "torch.log(x[0])", unary_cases(0.25, 4.25),
      large_unary(0.25, 4.25));
  t.add(
      "log1p", [](X x) -> Outputs { return log1p(x[0]); }, "torch.log1p(x[0])", unary_cases(-0.5, 2),
      large_unary(-0.5, 2));
  t.add(
      "sqrt", [](X x) -> Outputs { return sqrt(x[0]); }, "torch.sqrt(x[0])", unary_cases(0.25, 4.25),
      large_unary(0.25, 4.25));
  t.add(
      "rsqrt", [](X x) -> Outputs { return rsqrt(x[0]); }, "torch.rsqrt(x[0])", unary_cases(0.25, 4.25),
      large_unary(0.25, 4.25));
  t.add(
      "reciprocal", [](X x) -> Outputs { return reciprocal(x[0]); }, "torch.reciprocal(x[0])",
      unary_cases(0.25, 4.25), large_unary(0.25, 4.25));
  t.add(
      "tanh", [](X x) -> Outputs { return tanh(x[0]); }, "torch.tanh(x[0])", unary_cases(), large_unary());
  t.add(
      "sigmoid", [](X x) -> Outputs { return sigmoid(x[0]); }, "torch.sigmoid(x[0])", unary_cases(), large_unary());
  t.add(
      "erf", [](X x) -> Outputs { return erf(x[0]); }, "torch.erf(x[0])", unary_cases(), large_unary());
  t.add(
      "sin", [](X x) -> Outputs { return sin(x[0]); }, "torch.sin(x[0])", unary_cases(), large_unary());
  t.add(
      "cos", [](X x) -> Outputs { return cos(x[0]); }, "torch.cos(x[0])", unary_cases(), large_unary());
  t.add(
      "floor", [](X x) -> Outputs { return floor(x[0]); }, "torch.floor(x[0])", unary_cases(), large_unary());
  t.add(
      "ceil", [](X x) -> Outputs { return ceil(x[0]); }, "torch.ceil(x[0])", unary_cases(), large_unary());
  t.add(
      "round", [](X x) -> Outputs { return round(x[0]); }, "torch.round(x[0])", unary_cases(), large_unary());
  t.add(
      "clamp", [](X x) -> Outputs { return clamp(x[0], -0.5, 0.75); }, "torch.clamp(x[0], -0.5, 0.75)", unary_cases(),
      large_unary());
  t.add("clamp", [](X x) -> Outputs { return clamp(x[0], -inf, 0.75); }, "torch.clamp(x[0], -math.inf, 0.75)",
        {{real({37})}});
  t.add("clamp", [](X x) -> Outputs { return clamp(x[0], -0.5, inf); }, "torch.clamp(x[0], -0.5, math.inf)",
        {{real({37})}});
  t.add(
      "relu", [](X x) -> Outputs { return relu(x[0]); }, "F.relu(x[0])", unary_cases(), large_unary());
  t.add(
      "leaky_relu", [](X x) -> Outputs { return leaky_relu(x[0]); }, "F.leaky_relu(x[0])", unary_cases(),
      large_unary());
  t.add("leaky_relu", [](X x) -> Outputs { return leaky_relu(x[0], 0.3); }, "F.leaky_relu(x[0], 0.3)",
        {{real({37})}});
  t.add(
      "gelu", [](X x) -> Outputs { return gelu(x[0]); }, "F.gelu(x[0])", unary_cases(-4, 4), large_unary(-4, 4));
  t.add(
      "gelu", [](X x) -> Outputs { return gelu(x[0], "tanh"); }, "F.gelu(x[0], approximate='tanh')",
      unary_cases(-4, 4), large_unary(-4, 4));
  t.add(
      "silu", [](X x) -> Outputs { return silu(x[0]); }, "F.silu(x[0])", unary_cases(-4, 4), large_unary(-4, 4));
  t.add(
      "softplus", [](X x) -> Outputs { return softplus(x[0]); }, "F.softplus(x[0])", unary_cases(-4, 4),
      large_unary(-4, 4));
  // Most of them beyond the threshold.
  t.add("softplus", [](X x) -> Outputs { return softplus(x[0], 2, 3); }, "F.softplus(x[0], 2, 3)",
        {{real({37}, 1.75, 4)}, {real({37}, -4, 1.25)}});

  // Far from zero: where naive formulas overflow or cancel.
  std::vector<Case> far = {{given({8}, {-800, -90, -20, -1e-3, 1e-3, 20, 90, 800})}};
  t.add(
      "tanh", [](X x) -> Outputs { return tanh(x[0]); }, "torch.tanh(x[0])", far, at_kink);
  t.add(
      "sigmoid", [](X x) -> Outputs { return sigmoid(x[0]); }, "torch.sigmoid(x[0])", far, at_kink);
  t.add(
      "erf", [](X x) -> Outputs { return erf(x[0]); }, "torch.erf(x[0])", far, at_kink);
  t.add(
      "gelu", [](X x) -> Outputs { return gelu(x[0]); }, "F.gelu(x[0])", far, at_kink);
  t.add(
      "gelu", [](X x) -> Outputs { return gelu(x[0], "tanh"); }, "F.gelu(x[0], approximate='tanh')", far, at_kink);
  t.add(
      "silu", [](X x) -> Outputs { return silu(x[0]); }, "F.silu(x[0])", far, at_kink);
  t.add(
      "softplus", [](X x) -> Outputs { return softplus(x[0]); }, "F.softplus(x[0])", far, at_kink);
  t.add(
      "sin", [](X x) -> Outputs { return sin(x[0]); }, "torch.sin(x[0])", far, at_kink);
  t.add(
      "cos", [](X x) -> Outputs { return cos(x[0]); }, "torch.cos(x[0])", far, at_kink);

  // At the kinks. abs: 0; relu: 0; leaky_relu: the slope; clamp: 0 on its bounds.
  std::vector<Case> zeros = {{given({5}, {0, -0.0, 1, -1, 0})}};
  t.add(
      "abs", [](X x) -> Outputs { return abs(x[0]); }, "torch.abs(x[0])", zeros, at_kink);
  t.add(
      "sign", [](X x) -> Outputs { return sign(x[0]); }, "torch.sign(x[0])", zeros, at_kink);
  t.add(
      "relu", [](X x) -> Outputs { return relu(x[0]); }, "F.relu(x[0])", zeros, at_kink);
  t.add(
      "leaky_relu", [](X x) -> Outputs { return leaky_relu(x[0], 0.25); }, "F.leaky_relu(x[0], 0.25)", zeros,
      at_kink);
  t.add(
      "clamp", [](X x) -> Outputs { return clamp(x[0], -1, 1); }, "torch.clamp(x[0], -1, 1)",
      {{given({5}, {-1, 1, 0, 2, -2})}}, at_kink);
  t.add(
      "round", [](X x) -> Outputs { return round(x[0]); }, "torch.round(x[0])",
      {{given({8}, {0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999997, 8388609})}}, at_kink);
  t.add(
      "softplus", [](X x) -> Outputs { return softplus(x[0], 1, 2); }, "F.softplus(x[0], 1, 2)",
      {{given({3}, {2, 1, 3})}}, at_kink);

  // Infinities, NaN and the edges of the domain.
  std::vector<Case> odd = {{given({5}, {inf, -inf, nan, 0, -1})}};
  t.add(
      "abs", [](X x) -> Outputs { return abs(x[0]); }, "torch.abs(x[0])", odd, no_gradient);
  t.add(
      "square", [](X x) -> Outputs { return square(x[0]); }, "torch.square(x[0])", odd, no_gradient);
  t.add(
      "exp", [](X x) -> Outputs { return exp(x[0]); }, "torch.exp(x[0])", odd, no_gradient);
  t.add(
      "expm1", [](X x) -> Outputs { return expm1(x[0]); }, "torch.expm1(x[0])", odd, no_gradient);
  t.add(
      "log", [](X x) -> Outputs { return log(x[0]); }, "torch.log(x[0])", odd, no_gradient);
  t.add(
      "log1p", [](X x) -> Outputs { return log1p(x[0]); }, "torch.log1p(x[0])", odd, no_gradient);
  t.add(
      "sqrt", [](X x) -> Outputs { return sqrt(x[0]); }, "torch.sqrt(x[0])", odd, no_gradient);
  t.add(
      "rsqrt", [](X x) -> Outputs { return rsqrt(x[0]); }, "torch.rsqrt(x[0])", odd, no_gradient);
  t.add(
      "reciprocal", [](X x) -> Outputs { return reciprocal(x[0]); }, "torch.reciprocal(x[0])", odd, no_gradient);
  t.add(
      "tanh", [](X x) -> Outputs { return tanh(x[0]); }, "torch.tanh(x[0])", odd, no_gradient);
  t.add(
      "sigmoid", [](X x) -> Outputs { return sigmoid(x[0]); }, "torch.sigmoid(x[0])", odd, no_gradient);
  t.add(
      "erf", [](X x) -> Outputs { return erf(x[0]); }, "torch.erf(x[0])", odd, no_gradient);
  t.add(
      "sin", [](X x) -> Outputs { return sin(x[0]); }, "torch.sin(x[0])", odd, no_gradient);
  t.add(
      "cos", [](X x) -> Outputs { return cos(x[0]); }, "torch.cos(x[0])", odd, no_gradient);
  t.add(
      "floor", [](X x) -> Outputs { return floor(x[0]); }, "torch.floor(x[0])", odd, no_gradient);
  t.add(
      "ceil", [](X x) -> Outputs { return ceil(x[0]); }, "torch.ceil(x[0])", odd, no_gradient);
  t.add(
      "round", [](X x) -> Outputs { return round(x[0]); }, "torch.round(x[0])", odd, no_gradient);
  t.add(
      "clamp", [](X x) -> Outputs { return clamp(x[0], -1, 1); }, "torch.clamp(x[0], -1, 1)", odd, no_gradient);
  t.add(
      "relu", [](X x) -> Outputs { return relu(x[0]); }, "F.relu(x[0])", odd, no_gradient);
  t.add(
      "leaky_relu", [](X x) -> Outputs { return leaky_relu(x[0]); }, "F.leaky_relu(x[0])", odd, no_gradient);
  t.add(
      "softplus", [](X x) -> Outputs { return softplus(x[0]); }, "F.softplus(x[0])", odd, no_gradient);
}

}  // namespace gradus::optable
