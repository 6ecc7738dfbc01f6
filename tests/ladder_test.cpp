// Every rung of the ladders, tutorials/ladders/cpu_gemm and cpu_attention, against the reference kernels.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tensor/allocator.h"
#include "tests/isas.h"
#include "tutorials/ladders/cpu_attention/attention.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus {
namespace {

// In results beforehand and behind them, to see what is not written and what goes astray.
constexpr float guard = 12345.0f;

struct Size {
  int64_t m, n, k;
};

// One, around tiles (4 x 8, 6 x 16, 12 x 8, 12 x 32), beyond blocks (128 and 256 steps, 1024 columns), and nothing.
const std::vector<Size> sizes = {{1, 1, 1},   {3, 5, 7},   {4, 8, 16},    {13, 33, 17},  {12, 32, 256}, {11, 31, 257},
                                 {1, 67, 40}, {71, 1, 90}, {37, 41, 513}, {7, 1061, 35}, {50, 60, 0},   {0, 9, 4}};

// The largest error of a sum of k products in any order, by the sum of their magnitudes: each of the k operations that
// a product takes part in rounds by at most 2^-24 (Higham 2002, section 3.1).
double rounding(int64_t k) {
  const double u = std::ldexp(1.0, -24);
  return double(k) * u / (1 - double(k) * u);
}

std::vector<float> normal_numbers(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(size_t(count), 0);
  for (float& value : x) value = normal(random);
  return x;
}

std::vector<float> product(ladder::Gemm* gemm, const Size& s, const std::vector<float>& a,
                           const std::vector<float>& b) {
  std::vector<float> c(size_t(s.m * s.n + 1), guard);
  gemm(s.m, s.n, s.k, a.data(), b.data(), c.data());
  EXPECT_EQ(c.back(), guard);
  c.pop_back();
  return c;
}

class Ladder : public testing::EachIsa {
 protected:
  // The last rung calls the table of kernels, which here is the reference's.
  std::vector<float> expected(const Size& s, const std::vector<float>& a, const std::vector<float>& b) {
    return reference([&] { return product(ladder::library, s, a, b); });
  }
};

TEST_P(Ladder, EveryRungEqualsTheReference) {
  for (const Size& s : sizes) {
    const std::vector<float> a = normal_numbers(s.m * s.k, 1), b = normal_numbers(s.k * s.n, 2);
    std::vector<float> magnitude_a = a, magnitude_b = b;
    for (float& x : magnitude_a) x = std::abs(x);
    for (float& x : magnitude_b) x = std::abs(x);
    const std::vector<float> right = expected(s, a, b), magnitude = expected(s, magnitude_a, magnitude_b);
    for (const ladder::Rung& rung : ladder::rungs) {
      const std::vector<float> got = product(rung.gemm, s, a, b);
      for (size_t i = 0; i < got.size(); ++i) {
        // Once more for what the reference rounds.
        const double bound = rounding(s.k + 2) * double(magnitude[i]);
        ASSERT_TRUE(std::abs(double(got[i]) - double(right[i])) <= bound)
            << rung.name << " " << s.m << " x " << s.n << " x " << s.k << " at " << i << ": " << got[i] << ", not "
            << right[i];
      }
    }
  }
}

// NaN and infinity spread to what they are part of, and no further: what fills up tiles is left out.
TEST_P(Ladder, NotFinite) {
  const Size s{13, 35, 20};
  std::vector<float> a(size_t(s.m * s.k), 0), b(size_t(s.k * s.n), 0);
  a[size_t(12 * s.k + 7)] = std::numeric_limits<float>::infinity();
  b[size_t(9 * s.n + 34)] = std::nanf("");
  for (const ladder::Rung& rung : ladder::rungs) {
    const std::vector<float> got = product(rung.gemm, s, a, b);
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.n; ++j)
        EXPECT_EQ(std::isnan(got[size_t(i * s.n + j)]), i == 12 || j == 34) << rung.name << " " << i << " " << j;
    }
  }
}

TEST_P(Ladder, SameBitsForAnyNumberOfThreads) {
  const Size s{101, 300, 300};
  const std::vector<float> a = normal_numbers(s.m * s.k, 3), b = normal_numbers(s.k * s.n, 4);
  const std::vector<float> one = product(ladder::vectorised, s, a, b);
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    const std::vector<float> got = product(ladder::threaded, s, a, b);
    EXPECT_EQ(std::memcmp(got.data(), one.data(), one.size() * sizeof(float)), 0) << threads;
  }
}

GRADUS_EACH_ISA(Ladder);

// Without vectors the rungs that need them are the one before.
TEST(LadderReference, PackedStandsInForVectors) {
  const testing::BackendGuard backend;
  set_isa("reference");
  const Size s{9, 21, 30};
  const std::vector<float> a = normal_numbers(s.m * s.k, 5), b = normal_numbers(s.k * s.n, 6);
  const std::vector<float> packed = product(ladder::packed, s, a, b);
  for (ladder::Gemm* gemm : {ladder::vectorised, ladder::threaded}) EXPECT_EQ(product(gemm, s, a, b), packed);
  EXPECT_EQ(ladder::multiply_adds(1), 0);
}

// --- attention -----------------------------------------------------------------------------------------------------

struct Heads {
  int64_t heads, n, d;
  bool causal;
  std::vector<float> q, k, v;
  float scale;
};

Heads normal_heads(int64_t heads, int64_t n, int64_t d, bool causal) {
  const int64_t count = heads * n * d;
  return {heads,
          n,
          d,
          causal,
          normal_numbers(count, 7),
          normal_numbers(count, 8),
          normal_numbers(count, 9),
          1 / std::sqrt(float(d))};
}

std::vector<float> attended(attention_ladder::Attend* attend, const Heads& x) {
  std::vector<float> output(x.q.size() + 1, guard);
  attend({x.heads, x.n, x.d, x.q.data(), x.k.data(), x.v.data(), output.data(), x.scale, x.causal});
  EXPECT_EQ(output.back(), guard);
  output.pop_back();
  return output;
}

class AttentionLadder : public testing::EachIsa {
 protected:
  // The last rung calls the table of kernels, which here is the reference's.
  void expect_every_rung_right(const Heads& x, double bound) {
    const std::vector<float> right = reference([&] { return attended(attention_ladder::library, x); });
    for (const attention_ladder::Rung& rung : attention_ladder::rungs) {
      const std::vector<float> got = attended(rung.attend, x);
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_TRUE(std::abs(double(got[i]) - double(right[i])) <= bound)
            << rung.name << " " << x.heads << " x " << x.n << " x " << x.d << (x.causal ? " causal" : "") << " at "
            << i << ": " << got[i] << ", not " << right[i];
      }
    }
  }
};

// One key, around tiles (4 x 8, 64 queries and keys, 16 features), more than a tile of keys, and nothing.
TEST_P(AttentionLadder, EveryRungEqualsTheReference) {
  for (const auto& [heads, n, d] : std::vector<std::array<int64_t, 3>>{{1, 1, 1},
                                                                       {3, 1, 5},
                                                                       {2, 5, 3},
                                                                       {2, 63, 16},
                                                                       {1, 64, 64},
                                                                       {2, 65, 17},
                                                                       {3, 131, 33},
                                                                       {1, 200, 70},
                                                                       {2, 0, 4}})
    for (bool causal : {false, true}) expect_every_rung_right(normal_heads(heads, n, d, causal), 3e-6);
}

// Scores of 10^4 and their like below zero, which are integers and so exact: exp(score) is infinite, or 0 for all.
// They grow from key to key, so that tiles correct what was before.
TEST_P(AttentionLadder, LargeScores) {
  for (float sign : {1.0f, -1.0f}) {
    for (bool causal : {false, true}) {
      Heads x = normal_heads(2, 150, 3, causal);
      x.scale = 1;
      for (int64_t i = 0; i < x.heads * x.n; ++i) {
        float *q = x.q.data() + i * x.d, *k = x.k.data() + i * x.d;
        q[0] = 100, q[1] = 1, q[2] = float(i % 3) - 1;
        k[0] = sign * 100, k[1] = float(i % x.n / 50), k[2] = float(i % 5) - 2;
      }
      expect_every_rung_right(x, 3e-6);
    }
  }
}

TEST_P(AttentionLadder, SameBitsForAnyNumberOfThreads) {
  const Heads x = normal_heads(3, 200, 24, true);
  const std::vector<float> one = attended(attention_ladder::tiled, x);
  for (int threads : {1, 2, 4}) {
    set_num_threads(threads);
    EXPECT_EQ(attended(attention_ladder::threaded, x), one) << threads;
  }
}

// What the ladder is about: the matrices of rungs 1 and 2 grow with n squared, and nothing does from rung 3 on.
TEST_P(AttentionLadder, MemoryOfTheMatrices) {
  set_num_threads(1);
  const int64_t n = 512;
  const Heads x = normal_heads(2, n, 16, false);
  for (const attention_ladder::Rung& rung : attention_ladder::rungs) {
    reset_peak_memory();
    const int64_t before = memory_stats().live;
    attended(rung.attend, x);
    const int64_t bytes = memory_stats().peak - before, matrix = n * n * int64_t(sizeof(float));
    if (rung.attend == attention_ladder::naive)
      EXPECT_EQ(bytes, matrix);
    else if (rung.attend == attention_ladder::products)
      EXPECT_GE(bytes, 2 * x.heads * matrix);
    else
      EXPECT_LT(bytes, matrix / 16) << rung.name;
  }
}

GRADUS_EACH_ISA(AttentionLadder);

}  // namespace
}  // namespace gradus
