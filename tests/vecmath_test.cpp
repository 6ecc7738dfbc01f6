// The vector mathematics against double precision: the largest error, in units in the last place, over a dense sample
// of all floats, and the special values. The table it prints is where the bounds in vecmath.h come from.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "tensor/kernels/cpu/threads.h"
#include "tests/isas.h"

namespace gradus {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> run(Unary op, std::vector<float> x) {
  View view{x.data(), 1, {int64_t(x.size())}, {1}};
  kernels(Device::cpu, float32).unary(op, view, view, 1, 20);
  return x;
}

// |y - exact| in units of the last place of the float nearest to exact; denormal results count in steps of
// 2^-149.
double ulp_error(float y, double exact) {
  if (std::isnan(exact)) return std::isnan(y) ? 0 : inf;
  float nearest = float(exact);
  if (std::isinf(nearest) || std::isinf(y)) {
    // At the edge of overflow either side is right.
    float largest = std::numeric_limits<float>::max();
    if (y == nearest) return 0;
    return std::abs(std::abs(exact) / largest - 1) < 1e-7 && std::abs(y) >= largest ? 0.5 : inf;
  }
  int exponent = 0;
  std::frexp(nearest, &exponent);
  double unit = std::ldexp(1.0, nearest == 0 ? -149 : std::max(exponent - 24, -149));
  double error = std::abs(double(y) - exact) / unit;
  return error == error ? error : inf;
}

struct Case {
  const char* name;
  Unary op;
  double (*exact)(double);
  double bound;  // ULP
};

namespace vecmath {

// Double precision, and where that is within 2^-55 the first terms of the series or the limit, which is quicker.
bool tiny(double x) { return std::abs(x) < 0x1p-30; }
bool beyond(double x, double limit) { return std::abs(x) > limit; }
double step(double x) { return x > 0; }
double ramp(double x) { return x > 0 ? x : -0.0; }
double exp(double x) { return tiny(x) ? 1 + x : std::exp(x); }
double expm1(double x) { return tiny(x) ? x + x * x / 2 : x < -110 ? -1 : std::expm1(x); }
double log(double x) { return x < 0 ? double(nan) : std::log(x); }
double log1p(double x) { return tiny(x) ? x - x * x / 2 : x < -1 ? double(nan) : std::log1p(x); }
double tanh(double x) { return tiny(x) ? x : beyond(x, 20) ? std::copysign(1, x) : std::tanh(x); }
double logistic(double x) { return tiny(x) ? 0.5 + x / 4 : beyond(x, 110) ? step(x) : 1 / (1 + std::exp(-x)); }
double silu(double x) { return beyond(x, 110) ? ramp(x) : x * logistic(x); }
double gelu(double x) {
  if (tiny(x)) return x / 2 + x * x / std::sqrt(2 * M_PI);
  return beyond(x, 40) ? ramp(x) : x / 2 * std::erfc(-x * M_SQRT1_2);
}
double gelu_tanh(double x) {
  return beyond(x, 40) ? ramp(x) : x * logistic(2 * std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
}
double erf(double x) { return tiny(x) ? M_2_SQRTPI * x : beyond(x, 6) ? std::copysign(1, x) : std::erf(x); }
double sin(double x) { return tiny(x) ? x : std::sin(x); }
double cos(double x) { return tiny(x) ? 1 : std::cos(x); }

}  // namespace vecmath

const Case cases[] = {
    {"exp", Unary::exp, vecmath::exp, 1.1},
    {"expm1", Unary::expm1, vecmath::expm1, 1.6},
    {"log", Unary::log, vecmath::log, 1.0},
    {"log1p", Unary::log1p, vecmath::log1p, 2.0},
    {"tanh", Unary::tanh, vecmath::tanh, 1.8},
    {"sigmoid", Unary::sigmoid, vecmath::logistic, 2.2},
    {"silu", Unary::silu, vecmath::silu, 2.3},
    {"gelu", Unary::gelu, vecmath::gelu, 2.0},
    {"gelu_tanh", Unary::gelu_tanh, vecmath::gelu_tanh, 2.0},
    {"erf", Unary::erf, vecmath::erf, 1.5},
    {"sin", Unary::sin, vecmath::sin, 1.5},
    {"cos", Unary::cos, vecmath::cos, 1.5},
    {"sqrt", Unary::sqrt, std::sqrt, 0.5},
    {"reciprocal", Unary::reciprocal, [](double x) { return 1 / x; }, 0.5},
    {"rsqrt", Unary::rsqrt, [](double x) { return 1 / std::sqrt(x); }, 1.5},
};

class VecMath : public testing::EachIsa {
 protected:
  void SetUp() override {
    EachIsa::SetUp();
    set_flush_denormals(false);
  }
  void TearDown() override { set_flush_denormals(true); }
};

struct Worst {
  double error = 0;  // ULP
  float at = 0;
  void join(Worst other) {
    if (!(other.error <= error)) *this = other;
  }
};

Worst worst_of(const Case& c, const std::vector<float>& x) {
  std::vector<float> y = run(c.op, x);
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) worst.join({ulp_error(y[i], c.exact(x[i])), x[i]});
  return worst;
}

void report(const Case& c, Worst worst) {
  std::printf("  %-10s %.3f ULP at %.9g\n", c.name, worst.error, double(worst.at));
  EXPECT_LE(worst.error, c.bound) << c.name << " at " << worst.at;
}

TEST_P(VecMath, StaysWithinItsErrorBounds) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < (uint64_t(1) << 32); bits += 4001) x.push_back(std::bit_cast<float>(uint32_t(bits)));
  // Where the work is: every magnitude from 2^-12 to 2^7, more densely.
  for (uint32_t bits = 0x39800000u; bits < 0x43000000u; bits += 499) {
    x.push_back(std::bit_cast<float>(bits));
    x.push_back(-x.back());
  }
  std::printf("%-8s %zu points\n", GetParam(), x.size());
  for (const Case& c : cases) report(c, worst_of(c, x));
}

// Every float, with the error of results that are the nearest float counted as half a unit. Sines and cosines beyond
// 32768 are the C library's: one in 61. Some minutes: for ./run nightly.
TEST(EveryFloat, DISABLED_StaysWithinItsErrorBounds) {
  const testing::BackendGuard guard;
  set_flush_denormals(false);
  std::vector<std::string> isas{GRADUS_ISAS};
  std::erase_if(isas, [](const std::string& name) { return !testing::has_isa(name.c_str()); });
  const int64_t count = 1 << 22, chunks = 1024;
  std::vector<float> x(count);
  std::vector<std::vector<float>> y(isas.size(), x);
  for (const Case& c : cases) {
    std::vector<Worst> worst(isas.size());
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const uint32_t first = uint32_t(chunk * count);
      const bool library = (c.op == Unary::sin || c.op == Unary::cos) && (first & 0x7fffffffu) >= 0x47000000u;
      const uint32_t stride = library ? 61 : 1;
      const int64_t n = count / stride;
      for (int64_t i = 0; i < n; ++i) x[size_t(i)] = std::bit_cast<float>(first + uint32_t(i) * stride);
      for (size_t k = 0; k < isas.size(); ++k) {
        set_isa(isas[k].c_str());
        kernels(Device::cpu, float32).unary(c.op, {x.data(), 1, {n}, {1}}, {y[k].data(), 1, {n}, {1}}, 1, 20);
      }
      std::mutex mutex;
      parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
        std::vector<Worst> here(isas.size());
        for (int64_t i = begin; i < end; ++i) {
          double exact = c.exact(double(x[size_t(i)]));
          for (size_t k = 0; k < isas.size(); ++k) {
            float result = y[k][size_t(i)];
            here[k].join({result == float(exact) ? 0.5 : ulp_error(result, exact), x[size_t(i)]});
          }
        }
        std::lock_guard lock(mutex);
        for (size_t k = 0; k < isas.size(); ++k) worst[k].join(here[k]);
      });
    }
    std::printf("%-10s", c.name);
    for (size_t k = 0; k < isas.size(); ++k) {
      std::printf("  %s %.3f ULP at %-16.9g", isas[k].c_str(), worst[k].error, double(worst[k].at));
      EXPECT_LE(worst[k].error, c.bound) << c.name << " on " << isas[k] << " at " << worst[k].at;
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  set_flush_denormals(true);
}

TEST_P(VecMath, SpecialValues) {
  struct Expected {
    Unary op;
    float x, y;
  };
  const Expected expected[] = {
      {Unary::exp, inf, inf},
      {Unary::exp, -inf, 0},
      {Unary::exp, 0, 1},
      {Unary::exp, nan, nan},
      {Unary::exp, 200, inf},
      {Unary::exp, -200, 0},
      {Unary::expm1, -inf, -1},
      {Unary::expm1, inf, inf},
      {Unary::expm1, -0.0f, -0.0f},
      {Unary::expm1, nan, nan},
      {Unary::expm1, 1e-40f, 1e-40f},
      {Unary::log, 0, -inf},
      {Unary::log, -0.0f, -inf},
      {Unary::log, 1, 0},
      {Unary::log, inf, inf},
      {Unary::log, -1, nan},
      {Unary::log, nan, nan},
      {Unary::log, -inf, nan},
      {Unary::log1p, -1, -inf},
      {Unary::log1p, inf, inf},
      {Unary::log1p, -2, nan},
      {Unary::log1p, nan, nan},
      {Unary::log1p, -0.0f, -0.0f},
      {Unary::log1p, 1e-40f, 1e-40f},
      {Unary::tanh, inf, 1},
      {Unary::tanh, -inf, -1},
      {Unary::tanh, -0.0f, -0.0f},
      {Unary::tanh, nan, nan},
      {Unary::tanh, 1e-40f, 1e-40f},
      {Unary::tanh, 20, 1},
      {Unary::sigmoid, inf, 1},
      {Unary::sigmoid, -inf, 0},
      {Unary::sigmoid, 0, 0.5f},
      {Unary::sigmoid, nan, nan},
      {Unary::erf, inf, 1},
      {Unary::erf, -inf, -1},
      {Unary::erf, -0.0f, -0.0f},
      {Unary::erf, nan, nan},
      {Unary::sin, inf, nan},
      {Unary::sin, -0.0f, -0.0f},
      {Unary::sin, nan, nan},
      {Unary::cos, -inf, nan},
      {Unary::cos, 0, 1},
      {Unary::cos, nan, nan},
      {Unary::softplus, -inf, 0},
      {Unary::softplus, inf, inf},
      {Unary::softplus, nan, nan},
      {Unary::softplus, 30, 30},
      {Unary::silu, nan, nan},
      {Unary::silu, inf, inf},
      {Unary::silu, -inf, -0.0f},
      {Unary::silu, -0.0f, -0.0f},
      {Unary::silu, 1e-36f, 0.5e-36f},
      {Unary::gelu, inf, inf},
      {Unary::gelu, -inf, -0.0f},
      {Unary::gelu, -0.0f, -0.0f},
      {Unary::gelu, -1e-36f, -0.5e-36f},
      {Unary::gelu_tanh, inf, inf},
      {Unary::gelu_tanh, -inf, -0.0f},
      {Unary::gelu_tanh, -0.0f, -0.0f},
      {Unary::gelu, nan, nan},
      {Unary::gelu, 30, 30},
      {Unary::gelu_tanh, nan, nan},
      {Unary::relu, nan, nan},
      {Unary::relu, -1, 0},
      {Unary::relu, inf, inf},
      {Unary::sign, nan, 0},
      {Unary::sign, -3, -1},
      {Unary::sign, 0, 0},
      {Unary::clamp, nan, nan},
      {Unary::clamp, 0, 1},
      {Unary::clamp, inf, 20},
      {Unary::abs, -inf, inf},
      {Unary::abs, -0.0f, 0},
      {Unary::round, 0.5f, 0},
      {Unary::round, 1.5f, 2},
      {Unary::round, -2.5f, -2},
      {Unary::round, nan, nan},
      {Unary::floor, -0.5f, -1},
      {Unary::ceil, 0.5f, 1},
      {Unary::sqrt, -1, nan},
      {Unary::rsqrt, 0, inf},
  };
  for (const Expected& e : expected) {
    float y = run(e.op, {e.x})[0];
    if (std::isnan(e.y)) {
      EXPECT_TRUE(std::isnan(y)) << "op " << int(e.op) << " of " << e.x << " gave " << y;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(y), std::bit_cast<uint32_t>(e.y))
          << "op " << int(e.op) << " of " << e.x << " gave " << y;
    }
  }
}

// An element's result must not depend on its place in the row, or padding a batch would change it.
TEST_P(VecMath, TheSameAtEveryPlace) {
  for (const Case& c : cases) {
    std::vector<float> whole(67, 0.7310f);
    std::vector<float> y = run(c.op, whole);
    for (float v : y) EXPECT_EQ(v, y[0]) << c.name;
  }
}

GRADUS_EACH_ISA(VecMath);

}  // namespace
}  // namespace gradus
