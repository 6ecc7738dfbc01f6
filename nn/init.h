// Starting values for weights, written in place (and not recorded). Each returns its argument.
//
// fan_in is the number of inputs that a unit adds up, fan_out the number of units that an input goes to: for a weight
// (out, in, kernel...) in * kernel and out * kernel. All draw from the default generator unless given another.
#pragma once

#include "autograd/ops.h"

namespace gradus::nn {

struct Fans {
  int64_t in, out;
};
Fans fans(const Tensor& weight);  // throws Error for fewer than two dimensions

enum class FanMode { fan_in, fan_out };
enum class Nonlinearity { linear, sigmoid, tanh, relu, leaky_relu };
// The factor on the standard deviation that keeps the variance through a nonlinearity: 1, 1, 5/3, sqrt 2 and
// sqrt(2 / (1 + slope^2)).
double gain(Nonlinearity nonlinearity, double slope = 0.01);

Tensor zeros_(Tensor x);
Tensor ones_(Tensor x);
Tensor constant_(Tensor x, double value);
Tensor uniform_(Tensor x, double low = 0, double high = 1, Generator* generator = nullptr);
Tensor normal_(Tensor x, double mean = 0, double std = 1, Generator* generator = nullptr);
// The normal distribution cut off outside [low, high].
Tensor trunc_normal_(Tensor x, double mean = 0, double std = 1, double low = -2, double high = 2,
                     Generator* generator = nullptr);

// Variance 2 / (fan_in + fan_out): Glorot and Bengio 2010, section 4.2.
Tensor xavier_uniform_(Tensor weight, double scale = 1, Generator* generator = nullptr);
Tensor xavier_normal_(Tensor weight, double scale = 1, Generator* generator = nullptr);

// Variance gain^2 / fan: He, Zhang, Ren and Sun 2015, section 2.2.
struct KaimingOptions {
  double a = 0;  // slope of the leaky ReLU
  FanMode mode = FanMode::fan_in;
  Nonlinearity nonlinearity = Nonlinearity::leaky_relu;
};
Tensor kaiming_uniform_(Tensor weight, const KaimingOptions& options = {}, Generator* generator = nullptr);
Tensor kaiming_normal_(Tensor weight, const KaimingOptions& options = {}, Generator* generator = nullptr);

// Orthonormal rows, or columns where there are fewer of them, times `scale`; dimensions after the first count
// as one. Uniform over all such matrices: Saxe, McClelland and Ganguli 2014.
Tensor orthogonal_(Tensor weight, double scale = 1, Generator* generator = nullptr);

// What PyTorch gives the weight and bias (undefined is fine) of a linear or convolution layer unless told
// otherwise: both uniform within 1 / sqrt(fan_in).
void default_weight_and_bias_(const Tensor& weight, const Tensor& bias, Generator* generator = nullptr);

}  // namespace gradus::nn
