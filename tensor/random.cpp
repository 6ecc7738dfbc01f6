#include "tensor/random.h"

#include <algorithm>
#include <cmath>

#include "tensor/kernels/table.h"

namespace gradus {

PhiloxState Generator::take(int64_t count) {
  PhiloxState here = state_;
  state_.offset += uint64_t(count + 3) / 4;
  return here;
}

uint32_t Generator::next() { return philox(take(1), 0).v[0]; }

double Generator::uniform() { return next() * 0x1p-32; }

int64_t Generator::below(int64_t n) {
  check(n > 0, "Generator::below: the bound is ", n, ", expected at least 1");
  // The high half of a 64-bit word times n, so that the bias is below 2^-32 even for large n.
  PhiloxBlock b = philox(take(1), 0);
  uint64_t word = uint64_t(b.v[0]) << 32 | b.v[1];
  return int64_t(uint64_t((static_cast<unsigned __int128>(word) * uint64_t(n)) >> 64));
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}

void manual_seed(uint64_t seed) { default_generator() = Generator(seed); }

static Tensor random(Random kind, const Shape& shape, double a, double b, const TensorOptions& options,
                     Generator* generator) {
  Tensor x = empty(shape, {options.dtype, options.device});
  PhiloxState state = (generator ? *generator : default_generator()).take(x.numel());
  kernels(x).random(kind, x.raw().data, x.numel(), state, a, b);
  return options.requires_grad ? x.requires_grad_() : x;
}

Tensor rand(const Shape& shape, TensorOptions options, Generator* generator) {
  return random(Random::uniform, shape, 0, 1, options, generator);
}

Tensor uniform(const Shape& shape, double low, double high, TensorOptions options, Generator* generator) {
  check(low <= high, "uniform: the range from ", low, " to ", high, " is empty");
  return random(Random::uniform, shape, low, high, options, generator);
}

Tensor randn(const Shape& shape, TensorOptions options, Generator* generator) {
  return random(Random::normal, shape, 0, 1, options, generator);
}

Tensor normal(const Shape& shape, double mean, double std, TensorOptions options, Generator* generator) {
  check(std >= 0, "normal: the standard deviation is ", std, ", expected at least 0");
  return random(Random::normal, shape, mean, std, options, generator);
}

Tensor bernoulli(const Shape& shape, double p, TensorOptions options, Generator* generator) {
  check(p >= 0 && p <= 1, "bernoulli: the probability is ", p, ", expected 0 to 1");
  return random(Random::bernoulli, shape, p, 0, options, generator);
}

Tensor randint(int64_t low, int64_t high, const Shape& shape, TensorOptions options, Generator* generator) {
  check(low < high, "randint: the range from ", low, " to ", high, " is empty");
  check(high - low <= int64_t(1) << 32, "randint: the range from ", low, " to ", high, " is wider than 2^32");
  return random(Random::randint, shape, double(low), double(high), options, generator);
}

Tensor randperm(int64_t n, Generator* generator) {
  check(n >= 0, "randperm: the length is ", n, ", expected at least 0");
  Generator& g = generator ? *generator : default_generator();
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[i] = i;
  // Fisher and Yates, from the end (Knuth, The Art of Computer Programming 2, algorithm 3.4.2P).
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[g.below(i + 1)]);
  return from_vector(order, {n});
}

Tensor multinomial(const Tensor& weights, int64_t count, bool replacement, Generator* generator) {
  check(weights.dim() == 1 || weights.dim() == 2, "multinomial: weights must be (n) or (rows, n), got ",
        weights.shape());
  int64_t n = weights.size(-1), rows = weights.dim() == 2 ? weights.size(0) : 1;
  check(count >= 0 && (replacement || count <= n), "multinomial: ", count, " draws without replacement from ", n);
  Generator& g = generator ? *generator : default_generator();
  std::vector<double> all = weights.to_vector<double>();
  std::vector<int64_t> drawn;
  for (int64_t row = 0; row < rows; ++row) {
    double* w = all.data() + row * n;
    for (int64_t i = 0; i < n; ++i)
      check(w[i] >= 0 && std::isfinite(w[i]), "multinomial: weight ", w[i], " at ", i, " is not finite and >= 0");
    for (int64_t k = 0; k < count; ++k) {
      double total = 0;
      for (int64_t i = 0; i < n; ++i) total += w[i];
      check(total > 0, "multinomial: too few weights are above 0 for ", count, " draws");
      double left = g.uniform() * total;
      int64_t pick = -1;  // the last with any weight, should rounding use up the sum
      for (int64_t i = 0; i < n && left >= 0; ++i) {
        if (w[i] == 0) continue;
        pick = i;
        left -= w[i];
      }
      drawn.push_back(pick);
      if (!replacement) w[pick] = 0;
    }
  }
  return from_vector(drawn, weights.dim() == 2 ? Shape{rows, count} : Shape{count});
}

}  // namespace gradus
