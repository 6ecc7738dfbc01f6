#include "nn/init.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gradus::nn {

namespace {

// Random numbers are made in the weight's own type where there is a kernel for it.
TensorOptions drawn_like(const Tensor& x) {
  return {.dtype = x.dtype() == float64 ? float64 : float32, .device = x.device()};
}

double fan_of(const Tensor& weight, FanMode mode) {
  Fans both = fans(weight);
  return double(mode == FanMode::fan_in ? both.in : both.out);
}

double kaiming_std(const Tensor& weight, const KaimingOptions& options) {
  return gain(options.nonlinearity, options.a) / std::sqrt(fan_of(weight, options.mode));
}

double xavier_std(const Tensor& weight, double scale) {
  Fans both = fans(weight);
  return scale * std::sqrt(2.0 / double(both.in + both.out));
}

// The x with erf(x) = y, |y| < 1: Winitzki's closed form, good to 2e-3, then Newton's method.
double erf_inverse(double y) {
  double l = std::log1p(-y * y), t = 2 / (std::numbers::pi * 0.147) + l / 2;
  double x = std::copysign(std::sqrt(std::sqrt(t * t - l / 0.147) - t), y);
  for (int i = 0; i < 4; ++i) {
    double slope = 2 * std::numbers::inv_sqrtpi * std::exp(-x * x);
    if (slope < 1e-280) break;  // so far out that erf no longer tells values apart
    x -= (std::erf(x) - y) / slope;
  }
  return x;
}

}  // namespace

Fans fans(const Tensor& weight) {
  check(weight.dim() >= 2, "fans: weight ", weight.shape(), " needs at least two dimensions, (out, in, ...)");
  int64_t kernel = 1;
  for (int d = 2; d < weight.dim(); ++d) kernel *= weight.size(d);
  return {weight.size(1) * kernel, weight.size(0) * kernel};
}

double gain(Nonlinearity nonlinearity, double slope) {
  switch (nonlinearity) {
    case Nonlinearity::linear:
    case Nonlinearity::sigmoid: return 1;
    case Nonlinearity::tanh: return 5.0 / 3;
    case Nonlinearity::relu: return std::sqrt(2.0);
    case Nonlinearity::leaky_relu: return std::sqrt(2 / (1 + slope * slope));
  }
  return 1;
}

Tensor zeros_(Tensor x) { return constant_(std::move(x), 0); }
Tensor ones_(Tensor x) { return constant_(std::move(x), 1); }

Tensor constant_(Tensor x, double value) {
  NoGrad guard;
  x.fill_(value);
  return x;
}

Tensor uniform_(Tensor x, double low, double high, Generator* generator) {
  NoGrad guard;
  x.copy_(uniform(x.shape(), low, high, drawn_like(x), generator));
  return x;
}

Tensor normal_(Tensor x, double mean, double std, Generator* generator) {
  NoGrad guard;
  x.copy_(normal(x.shape(), mean, std, drawn_like(x), generator));
  return x;
}

Tensor trunc_normal_(Tensor x, double mean, double std, double low, double high, Generator* generator) {
  check(std > 0 && low < high, "trunc_normal_: std ", std, " must be positive and low ", low, " below high ", high);
  NoGrad guard;
  // Numbers uniform between the distribution function's values at the ends, through its inverse.
  Tensor drawn = uniform(x.shape(), std::erf((low - mean) / (std * std::numbers::sqrt2)),
                         std::erf((high - mean) / (std * std::numbers::sqrt2)), {.dtype = float64}, generator);
  double* values = drawn.data<double>();
  for (int64_t i = 0; i < drawn.numel(); ++i)
    values[i] = std::clamp(mean + std * std::numbers::sqrt2 * erf_inverse(values[i]), low, high);
  x.copy_(drawn);
  return x;
}

Tensor xavier_uniform_(Tensor weight, double scale, Generator* generator) {
  double bound = std::sqrt(3.0) * xavier_std(weight, scale);
  return uniform_(std::move(weight), -bound, bound, generator);
}

Tensor xavier_normal_(Tensor weight, double scale, Generator* generator) {
  double std = xavier_std(weight, scale);
  return normal_(std::move(weight), 0, std, generator);
}

Tensor kaiming_uniform_(Tensor weight, const KaimingOptions& options, Generator* generator) {
  double bound = std::sqrt(3.0) * kaiming_std(weight, options);
  return uniform_(std::move(weight), -bound, bound, generator);
}

Tensor kaiming_normal_(Tensor weight, const KaimingOptions& options, Generator* generator) {
  double std = kaiming_std(weight, options);
  return normal_(std::move(weight), 0, std, generator);
}

Tensor orthogonal_(Tensor weight, double scale, Generator* generator) {
  check(weight.dim() >= 2, "orthogonal_: weight ", weight.shape(), " needs at least two dimensions");
  NoGrad guard;
  int64_t rows = weight.size(0), columns = rows ? weight.numel() / rows : 0;
  int64_t count = std::min(rows, columns), length = std::max(rows, columns);
  // Gram-Schmidt on random vectors, one in each row; a second pass takes off what rounding left of the first.
  // Normal vectors with positive lengths taken off make the result uniform.
  Tensor basis = randn({count, length}, {.dtype = float64}, generator);
  double* vectors = basis.data<double>();
  for (int64_t i = 0; i < count; ++i) {
    double* v = vectors + i * length;
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t j = 0; j < i; ++j) {
        const double* u = vectors + j * length;
        double dot = 0;
        for (int64_t k = 0; k < length; ++k) dot += u[k] * v[k];
        for (int64_t k = 0; k < length; ++k) v[k] -= dot * u[k];
      }
      double squares = 0;
      for (int64_t k = 0; k < length; ++k) squares += v[k] * v[k];
      for (int64_t k = 0; k < length; ++k) v[k] /= std::sqrt(squares);
    }
  }
  if (rows > columns) basis = basis.t();
  weight.copy_((basis * scale).reshape(weight.shape()));
  return weight;
}

void default_weight_and_bias_(const Tensor& weight, const Tensor& bias, Generator* generator) {
  kaiming_uniform_(weight, {.a = std::sqrt(5.0)}, generator);
  double bound = 1 / std::sqrt(double(fans(weight).in));
  if (bias.defined()) uniform_(bias, -bound, bound, generator);
}

}  // namespace gradus::nn
