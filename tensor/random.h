// Random numbers: the same on every platform and for any number of threads (Philox, tensor/kernels/philox.h).
#pragma once

#include <cstdint>

#include "tensor/kernels/philox.h"
#include "tensor/tensor.h"

namespace gradus {

// A stream of random numbers. Copying one forks the stream. Not for use by two threads at once.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0) : state_{seed, 0} {}
  // Takes `count` numbers off the stream.
  PhiloxState take(int64_t count);
  uint32_t next();           // one number, all 32 bits random
  double uniform();          // in [0, 1)
  int64_t below(int64_t n);  // in [0, n), n > 0
  const PhiloxState& state() const { return state_; }
  void set_state(PhiloxState state) { state_ = state; }

 private:
  PhiloxState state_;
};

// The generator that random functions use when given none: one for the whole process.
Generator& default_generator();
// Starts it afresh.
void manual_seed(uint64_t seed);

Tensor rand(const Shape& shape, TensorOptions options = {}, Generator* generator = nullptr);  // uniform in [0, 1)
Tensor uniform(const Shape& shape, double low, double high, TensorOptions options = {},
               Generator* generator = nullptr);
Tensor randn(const Shape& shape, TensorOptions options = {},
             Generator* generator = nullptr);  // normal, mean 0, std 1
Tensor normal(const Shape& shape, double mean, double std, TensorOptions options = {},
              Generator* generator = nullptr);
// 1 with probability p, else 0.
Tensor bernoulli(const Shape& shape, double p, TensorOptions options = {}, Generator* generator = nullptr);
// Integers in [low, high).
Tensor randint(int64_t low, int64_t high, const Shape& shape, TensorOptions options = {.dtype = int64},
               Generator* generator = nullptr);
Tensor randperm(int64_t n, Generator* generator = nullptr);  // 0 .. n-1 in random order, int64
// Draws `count` indices from each row of weights (n) or (rows, n), which need not sum to 1: (count) or (rows, count).
Tensor multinomial(const Tensor& weights, int64_t count, bool replacement = false, Generator* generator = nullptr);

}  // namespace gradus
