// The matrix products of each instruction set against the reference, which is plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/isas.h"

namespace gradus {
namespace {

constexpr float guard = 12345.0f;  // around C, to see stores that go astray

using Gemm = testing::EachIsa;

struct Case {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  bool a_transposed = false, b_transposed = false, b_shared = false, accumulate = false, residual = false,
       bias = false;
  int64_t pad = 0;  // by which rows are longer than they need be
  double alpha = 1;
  Activation activation = Activation::none;

  std::string name() const {
    auto s = [](int64_t x) { return std::to_string(x); };
    return s(batch) + " x " + s(m) + " x " + s(n) + " x " + s(k) + (a_transposed ? " T" : " N") +
           (b_transposed ? "T" : "N") + (b_shared ? " shared" : "") +
           (accumulate ? " +C"
            : residual ? " +R"
                       : "") +
           (bias ? " +bias" : "") + " activation " + s(int(activation)) + " pad " + s(pad);
  }
};

// A matrix view (batch, rows, columns) with room for it.
struct Matrix {
  std::vector<float> values;
  View view{};

  Matrix(int64_t batch, int64_t rows, int64_t columns, bool transposed, int64_t pad, bool shared = false) {
    int64_t length = (transposed ? rows : columns) + pad, count = transposed ? columns : rows;
    values.assign(size_t((shared ? 1 : batch) * length * count + 1), guard);
    view.data = values.data();
    view.ndim = 3;
    view.shape[0] = batch, view.shape[1] = rows, view.shape[2] = columns;
    view.strides[0] = shared ? 0 : length * count;
    view.strides[1] = transposed ? 1 : length;
    view.strides[2] = transposed ? length : 1;
  }
  float& at(int64_t b, int64_t i, int64_t j) {
    return values[size_t(b * view.strides[0] + i * view.strides[1] + j * view.strides[2])];
  }
  template <class F>
  void fill(F next) {
    for (int64_t b = 0; b < view.shape[0]; ++b) {
      for (int64_t i = 0; i < view.shape[1]; ++i) {
        for (int64_t j = 0; j < view.shape[2]; ++j) at(b, i, j) = next();
      }
    }
  }
};

struct Problem {
  Matrix a, b, c, residual;
  std::vector<float> bias;
  bool accumulate;
  Matmul args;

  template <class F>
  Problem(const Case& x, F next)
      : a(x.batch, x.m, x.k, x.a_transposed, x.pad),
        b(x.batch, x.k, x.n, x.b_transposed, x.pad, x.b_shared),
        c(x.batch, x.m, x.n, false, x.pad),
        residual(x.batch, x.m, x.n, false, x.pad),
        accumulate(x.accumulate) {
    a.fill(next);
    b.fill(next);
    c.fill(next);
    residual.fill(next);
    for (int64_t j = 0; j < x.n; ++j) bias.push_back(next());
    args = {.a = a.view,
            .b = b.view,
            .c = c.view,
            .alpha = x.alpha,
            .residual = x.residual ? residual.view.data : nullptr,
            .bias = x.bias ? bias.data() : nullptr,
            .activation = x.activation};
  }
  // C as the table in use computes it.
  std::vector<float> run(void (*KernelTable::*kernel)(const Matmul&) = &KernelTable::matmul) {
    Matrix result = c;
    result.view.data = result.values.data();
    Matmul m = args;
    m.c = result.view;
    if (accumulate) m.residual = m.c.data;
    (kernels(Device::cpu, float32).*kernel)(m);
    return result.values;
  }
  // The same from a packed B.
  std::vector<float> run_packed(void (*KernelTable::*kernel)(const Matmul&)) {
    const size_t size = size_t(packed_size(args.b.shape[1], args.b.shape[2]));
    std::vector<float> packed(size + 1, guard);
    kernels(Device::cpu, float32).pack(args.b, packed.data());
    EXPECT_EQ(packed[size], guard);
    args.packed_b = packed.data();
    std::vector<float> result = run(kernel);
    args.packed_b = nullptr;
    return result;
  }
};

Case random_case(std::mt19937& random, int64_t limit) {
  auto below = [&](int64_t n) { return int64_t(random() % uint64_t(n)); };
  Case x;
  x.batch = below(3) ? 1 : 1 + below(4);
  x.m = 1 + below(limit), x.n = 1 + below(2 * limit), x.k = below(8) ? below(3 * limit) : 800 + below(500);
  x.a_transposed = below(2), x.b_transposed = below(2), x.b_shared = below(3) == 0;
  x.accumulate = below(3) == 0, x.residual = !x.accumulate && below(2), x.bias = below(2);
  x.pad = below(2) * below(9);
  x.alpha = double(1 + below(2));
  x.activation = Activation(below(2));  // none or relu
  return x;
}

// With small whole numbers every order of summation gives the same, exact result.
TEST_P(Gemm, EqualsReference) {
  std::mt19937 random(1);
  auto whole = [&] { return float(int(random() % 9) - 4); };
  for (int trial = 0; trial < 400; ++trial) {
    Case x = random_case(random, trial % 4 ? 40 : 150);
    Problem p(x, whole);
    std::vector<float> got = p.run();
    std::vector<float> expected = reference([&] { return p.run(); });
    ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << x.name();
  }
}

// One or two sides that are small, around what tiles, registers and the choice between ways of a product turn on.
TEST_P(Gemm, SmallSides) {
  std::mt19937 random(6);
  const int64_t small[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 14, 15, 16, 17}, large[] = {20, 31, 32, 33, 63, 97, 130};
  auto pick = [&](bool is_small) {
    return is_small ? small[random() % 14] : large[random() % 7] + int64_t(random() % 3);
  };
  auto whole = [&] { return float(int(random() % 9) - 4); };
  for (int trial = 0; trial < 1200; ++trial) {
    Case x = random_case(random, 4);
    x.m = pick(trial & 1), x.n = pick(trial & 2), x.k = pick(trial & 4);
    if (trial % 50 == 0) x.k += 1100;
    Problem p(x, whole);
    std::vector<float> got = p.run();
    std::vector<float> expected = reference([&] { return p.run(); });
    ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << x.name();
  }
}

// Shapes at the borders of tiles, and large enough to be cut along every dimension.
TEST_P(Gemm, LargeShapes) {
  std::mt19937 random(2);
  auto whole = [&] { return float(int(random() % 9) - 4); };
  for (Case x :
       {Case{.m = 257, .n = 131, .k = 385}, Case{.m = 451, .n = 1057, .k = 70}, Case{.m = 14, .n = 32, .k = 384},
        Case{.m = 1, .n = 1030, .k = 1025}, Case{.m = 1030, .n = 1, .k = 1025}, Case{.m = 300, .n = 300, .k = 769},
        Case{.batch = 33, .m = 20, .n = 40, .k = 24}, Case{.batch = 300, .m = 45, .n = 44, .k = 40},
        Case{.m = 100, .n = 300, .k = 9}, Case{.batch = 3, .m = 700, .n = 3, .k = 90},
        Case{.m = 5, .n = 1100, .k = 200}, Case{.m = 1100, .n = 1050, .k = 3},
        Case{.m = 3000, .n = 1, .k = 150, .bias = true}, Case{.m = 31, .n = 2070, .k = 2060},
        Case{.m = 1, .n = 900, .k = 111, .accumulate = true, .bias = true, .activation = Activation::relu},
        Case{.m = 9000, .n = 29, .k = 7, .accumulate = true, .bias = true, .activation = Activation::relu},
        Case{.m = 2500, .n = 5, .k = 70, .accumulate = true, .bias = true, .activation = Activation::relu}}) {
    for (int transposes = 0; transposes < 4; ++transposes) {
      x.a_transposed = transposes & 1, x.b_transposed = transposes & 2;
      Problem p(x, whole);
      std::vector<float> got = p.run();
      std::vector<float> expected = reference([&] { return p.run(); });
      ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << x.name();
    }
  }
}

TEST_P(Gemm, Activations) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (Activation activation : {Activation::relu, Activation::gelu, Activation::gelu_tanh}) {
    for (bool b_transposed : {false, true}) {
      Problem p({.m = 37,
                 .n = 45,
                 .k = 50,
                 .b_transposed = b_transposed,
                 .accumulate = true,
                 .bias = true,
                 .alpha = 0.25,
                 .activation = activation},
                [&] { return normal(random); });
      std::vector<float> got = p.run();
      std::vector<float> expected = reference([&] { return p.run(); });
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(std::abs(got[i] - expected[i]) <= 1e-5f * (1 + std::abs(expected[i]))) << got[i] << " " << i;
      }
    }
  }
}

// What is packed once serves any product of the same B: with the same bits, or at any rate the same sums.
TEST_P(Gemm, Packed) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 300; ++trial) {
    Case x = random_case(random, trial % 4 ? 40 : 150);
    x.b_shared = true;
    Problem p(x, [&] { return normal(random); });
    std::vector<float> plain = p.run(), packed = p.run_packed(&KernelTable::matmul);
    ASSERT_EQ(std::memcmp(packed.data(), plain.data(), plain.size() * sizeof(float)), 0) << x.name();
    Problem w(x, [&] { return float(int(random() % 9) - 4); });
    std::vector<float> got = w.run_packed(&KernelTable::matmul_packed);
    std::vector<float> expected = reference([&] { return w.run(); });
    ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << x.name();
  }
  for (Case x : {Case{.m = 1, .n = 700, .k = 300, .b_transposed = true},
                 Case{.m = 33, .n = 768, .k = 256, .b_transposed = true, .bias = true},
                 Case{.m = 500, .n = 1100, .k = 300}, Case{.batch = 3, .m = 8, .n = 96, .k = 70, .b_shared = true}}) {
    Problem p(x, [&] { return normal(random); });
    set_num_threads(1);
    std::vector<float> expected = p.run_packed(&KernelTable::matmul_packed);
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      std::vector<float> got = p.run_packed(&KernelTable::matmul_packed);
      ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << x.name();
    }
    if (x.m >= 100) {
      ASSERT_EQ(p.run(), expected) << x.name();
    }
  }
}

// The bits depend neither on the number of threads nor on what else is in the batch.
TEST_P(Gemm, SameBitsAlways) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  auto next = [&] { return normal(random); };
  for (Case x : {Case{.m = 300, .n = 500, .k = 500}, Case{.m = 1, .n = 3000, .k = 1100, .b_transposed = true},
                 Case{.m = 64, .n = 256, .k = 784, .b_transposed = true},
                 Case{.m = 2000, .n = 33, .k = 90, .a_transposed = true},
                 Case{.m = 3000, .n = 5, .k = 130, .a_transposed = true, .b_transposed = true},
                 Case{.m = 3000, .n = 1, .k = 300}, Case{.m = 3000, .n = 2, .k = 300},
                 Case{.m = 700, .n = 900, .k = 5, .b_transposed = true}, Case{.m = 900, .n = 700, .k = 11},
                 Case{.batch = 50, .m = 30, .n = 40, .k = 100, .b_transposed = true}}) {
    Problem p(x, next);
    set_num_threads(1);
    std::vector<float> expected = p.run();
    for (int threads : {2, 4}) {
      set_num_threads(threads);
      std::vector<float> got = p.run();
      ASSERT_EQ(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0) << x.name();
    }
  }
  Problem batch({.batch = 5, .m = 17, .n = 23, .k = 70}, next);
  std::vector<float> all = batch.run();
  for (int64_t b = 0; b < 5; ++b) {
    Problem one = batch;
    for (View* v : {&one.args.a, &one.args.b}) v->data = v->as<float>() + b * v->strides[0], v->shape[0] = 1;
    one.c.view.shape[0] = 1;  // run() takes its C from there
    std::vector<float> got = one.run();
    ASSERT_EQ(std::memcmp(got.data(), &all[size_t(b * 17 * 23)], 17 * 23 * sizeof(float)), 0) << b;
  }
}

// A zero does not hide what it is multiplied with.
TEST_P(Gemm, NotFinite) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  for (bool b_transposed : {false, true}) {
    for (int64_t m : {3, 40}) {
      Problem p({.m = m, .n = 40, .k = 50, .b_transposed = b_transposed}, [] { return 0.0f; });
      p.a.at(0, 1, 7) = inf;
      p.b.at(0, 9, 5) = std::nanf("");
      Matrix c = p.c;
      c.values = p.run();
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < 40; ++j) EXPECT_EQ(std::isnan(c.at(0, i, j)), i == 1 || j == 5) << i << " " << j;
      }
    }
  }
}

TEST_P(Gemm, NothingToSum) {
  Problem p({.m = 5, .n = 7, .k = 0, .bias = true}, [] { return 2.0f; });
  Matrix c = p.c;
  c.values = p.run();
  for (int64_t i = 0; i < 5; ++i) {
    for (int64_t j = 0; j < 7; ++j) EXPECT_EQ(c.at(0, i, j), 2.0f);
  }
  Problem empty({.batch = 1, .m = 0, .n = 7, .k = 3}, [] { return 1.0f; });
  EXPECT_EQ(empty.run(), std::vector<float>{guard});
}

GRADUS_EACH_ISA(Gemm);

}  // namespace
}  // namespace gradus
