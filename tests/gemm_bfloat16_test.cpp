// Products of bfloat16 matrices, of each instruction set against the reference, which sums in double.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tests/isas.h"

namespace gradus {
namespace {

using GemmBFloat16 = testing::EachIsa;
using Values = std::vector<BFloat16>;

struct Case {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  bool a_transposed = false, b_transposed = false, b_shared = false, accumulate = false, residual = false,
       bias = false;
  int64_t pad = 0;  // by which rows are longer than they need be
  double alpha = 1;
  Activation activation = Activation::none;

  std::string name() const {
    std::string text;
    for (int64_t size : {batch, m, n, k, pad}) text += std::to_string(size) + " ";
    for (bool flag : {a_transposed, b_transposed, b_shared, accumulate, residual, bias}) text += flag ? "1" : "0";
    return text;
  }
};

// The operands of a case, each element made by `next`, with numbers around C to see stores that go astray.
struct Problem {
  Values a, b, c, residual, bias;
  bool accumulate;
  Matmul args;

  template <class F>
  Problem(const Case& x, F next) : accumulate(x.accumulate) {
    args.a = matrix(a, x.batch, x.m, x.k, x.a_transposed, x.pad, next);
    args.b = matrix(b, x.b_shared ? 1 : x.batch, x.k, x.n, x.b_transposed, x.pad, next);
    if (x.b_shared) args.b.shape[0] = x.batch, args.b.strides[0] = 0;
    args.c = matrix(c, x.batch, x.m, x.n, false, x.pad, next);
    for (int64_t j = 0; j < x.n; ++j) bias.emplace_back(next());
    if (x.bias) args.bias = bias.data();
    args.alpha = x.alpha;
    if (x.residual) args.residual = matrix(residual, x.batch, x.m, x.n, false, x.pad, next).data;
    args.activation = x.activation;
  }
  template <class F>
  static View matrix(Values& values, int64_t batch, int64_t rows, int64_t columns, bool transposed, int64_t pad,
                     F next) {
    const int64_t length = (transposed ? rows : columns) + pad, count = transposed ? columns : rows;
    for (int64_t i = 0; i < batch * length * count + 1; ++i) values.emplace_back(next());
    return {
        values.data(), 3, {batch, rows, columns}, {length * count, transposed ? 1 : length, transposed ? length : 1}};
  }
  Values run() const {
    Values result = c;
    Matmul m = args;
    m.c.data = result.data();
    if (accumulate) m.residual = m.c.data;
    kernels(Device::cpu, bfloat16).matmul(m);
    return result;
  }
};

bool same_bits(const Values& a, const Values& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(BFloat16)) == 0;
}

Case random_case(std::mt19937& random, int64_t limit) {
  auto below = [&](int64_t n) { return int64_t(random() % uint64_t(n)); };
  Case x;
  x.batch = below(3) ? 1 : 1 + below(4);
  x.m = 1 + below(below(3) ? limit : 5), x.n = 1 + below(2 * limit);
  x.k = below(8) ? below(3 * limit) : 800 + below(500);
  x.a_transposed = below(2), x.b_transposed = below(2), x.b_shared = below(3) == 0;
  x.accumulate = below(3) == 0, x.residual = !x.accumulate && below(2), x.bias = below(2);
  x.pad = below(2) * below(9);
  x.alpha = double(1 + below(2));
  x.activation = Activation(below(2));  // none or relu
  return x;
}

// Sums of small whole numbers are exact in float; then there is one rounding, here and there.
TEST_P(GemmBFloat16, EqualsReference) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const Case x = random_case(random, trial % 8 ? 40 : 150);
    const Problem p(x, [&] { return float(int(random() % 9) - 4); });
    ASSERT_TRUE(same_bits(p.run(), reference([&] { return p.run(); }))) << x.name();
  }
  for (Case x :
       {Case{.m = 257, .n = 131, .k = 385}, Case{.m = 251, .n = 557, .k = 70}, Case{.m = 1, .n = 1030, .k = 1025},
        Case{.m = 4, .n = 99, .k = 777}, Case{.m = 40, .n = 140, .k = 2048}, Case{.m = 1030, .n = 1, .k = 1025},
        Case{.m = 300, .n = 5, .k = 769, .bias = true, .activation = Activation::gelu}}) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      x.a_transposed = transposes & 1, x.b_transposed = transposes & 2;
      const Problem p(x, [&] { return float(int(random() % 3) - 1); });
      ASSERT_TRUE(same_bits(p.run(), reference([&] { return p.run(); }))) << x.name();
    }
  }
}

// The bound: one step of bfloat16, 2^-7 of the result, and what sums in float may lose, 2^-24 k of the sum of sizes.
TEST_P(GemmBFloat16, StaysWithinItsBound) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  int differing = 0;
  for (Case x : {Case{.m = 70, .n = 90, .k = 300}, Case{.m = 3, .n = 200, .k = 1000, .b_transposed = true},
                 Case{.m = 64, .n = 64, .k = 2000, .b_transposed = true}}) {
    const Problem p(x, [&] { return normal(random); });
    const Values got = p.run(), expected = reference([&] { return p.run(); });
    for (int64_t i = 0; i < x.m; ++i) {
      for (int64_t j = 0; j < x.n; ++j) {
        double sizes = 0;
        for (int64_t q = 0; q < x.k; ++q) {
          sizes += std::abs(double(float(p.a[size_t(i * p.args.a.strides[1] + q * p.args.a.strides[2])])) *
                            float(p.b[size_t(q * p.args.b.strides[1] + j * p.args.b.strides[2])]));
        }
        const float value = float(got[size_t(i * x.n + j)]), wanted = float(expected[size_t(i * x.n + j)]);
        const double bound = std::ldexp(std::abs(wanted), -7) + std::ldexp(double(x.k) * sizes, -24);
        ASSERT_TRUE(std::abs(value - wanted) <= bound) << x.name() << ": " << value << ", expected " << wanted;
        differing += value != wanted;
      }
    }
  }
  EXPECT_LE(differing, 70);  // of 11,000: rounding once leaves few that fall to the other side
}

TEST_P(GemmBFloat16, SameBitsAlways) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const Case& x : {Case{.m = 300, .n = 700, .k = 500}, Case{.m = 2, .n = 3000, .k = 1100, .b_transposed = true},
                        Case{.batch = 50, .m = 30, .n = 40, .k = 100, .b_transposed = true},
                        Case{.batch = 9, .m = 1, .n = 200, .k = 900, .b_transposed = true}}) {
    const Problem p(x, [&] { return normal(random); });
    set_num_threads(1);
    const Values expected = p.run();
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      ASSERT_TRUE(same_bits(p.run(), expected)) << x.name();
    }
  }
}

// A zero does not hide what it is multiplied with, and infinities stay what they are.
TEST_P(GemmBFloat16, NotFinite) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (int64_t m : {3, 40}) {
    Problem p({.m = m, .n = 40, .k = 50, .b_transposed = true}, [] { return 0.0f; });
    p.a[1 * 50 + 7] = BFloat16(inf);
    p.b[5 * 50 + 9] = BFloat16(std::nanf(""));
    const Values c = p.run();
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < 40; ++j) {
        EXPECT_EQ(std::isnan(float(c[size_t(i * 40 + j)])), i == 1 || j == 5) << i << " " << j;
      }
    }
  }
  const Problem large({.m = 20, .n = 20, .k = 20}, [] { return 3e19f; });
  EXPECT_EQ(float(large.run()[0]), inf);
}

GRADUS_EACH_ISA(GemmBFloat16);

// --- the ops -------------------------------------------------------------------------------------------------------

TEST(BFloat16Ops, GradientsGatherInBFloat16) {
  const Tensor x = randn({6, 5}).to(bfloat16), w = randn({4, 5}).to(bfloat16).requires_grad_(),
               b = randn({4}).to(bfloat16).requires_grad_();
  const Tensor g = randn({6, 4}).to(bfloat16);
  const Tensor y = linear(x, w, b);
  EXPECT_EQ(y.dtype(), bfloat16);
  y.backward(g);
  const Tensor dw = matmul(g.t(), x), db = g.to(float64).sum({0}).to(bfloat16);
  EXPECT_TRUE(equal(w.grad(), dw));
  EXPECT_TRUE(equal(b.grad(), db));
  linear(x, w, b).backward(g);  // once more: the sums are rounded to bfloat16
  EXPECT_TRUE(equal(w.grad(), (dw.to(float32) * 2).to(bfloat16)));
}

TEST(BFloat16Ops, OtherTypesPromote) {
  const Tensor half = randn({3, 4}).to(bfloat16), single = randn({4, 2});
  EXPECT_EQ(matmul(half, single).dtype(), float32);
  EXPECT_TRUE(equal(matmul(half, single), matmul(half.to(float32), single)));
  EXPECT_EQ(matmul(half, half.t()).dtype(), bfloat16);
  EXPECT_EQ(matmul(half, zeros({4, 0}, {.dtype = bfloat16})).shape(), (Shape{3, 0}));
  const Tensor none = matmul(zeros({3, 0}, {.dtype = bfloat16}), zeros({0, 2}, {.dtype = bfloat16}));
  EXPECT_TRUE(equal(none, zeros({3, 2}, {.dtype = bfloat16})));
}

}  // namespace
}  // namespace gradus
