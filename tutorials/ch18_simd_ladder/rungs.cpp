// Every rung against the definition in double precision, on sizes that fit no tile and no block.
#include <cmath>
#include <cstdio>
#include <vector>

#include "tensor/error.h"
#include "tensor/random.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"

using namespace gradus;

namespace {

struct Size {
  int64_t m, n, k;
};

// C = A B, each element a sum of k products that a rung may add in any order, each operation rounding by at most one
// part in 2^24. The largest error as a share of what that allows: k + 1 roundings of the sum of the terms' magnitudes.
double worst_error(ladder::Gemm* gemm, const Size& s, const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> c(size_t(s.m * s.n), 12345.0f);
  gemm(s.m, s.n, s.k, a.data(), b.data(), c.data());
  double worst = 0;
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      double sum = 0, magnitude = 0;
      for (int64_t p = 0; p < s.k; ++p) {
        const double term = double(a[size_t(i * s.k + p)]) * double(b[size_t(p * s.n + j)]);
        sum += term;
        magnitude += std::abs(term);
      }
      const double allowed = double(s.k + 1) * std::ldexp(magnitude, -24);
      const double share = std::abs(double(c[size_t(i * s.n + j)]) - sum) / allowed;
      worst = std::isnan(share) || share > worst ? share : worst;
    }
  }
  return worst;
}

}  // namespace

int main() {
  const Size sizes[] = {{1, 1, 1}, {3, 5, 7}, {13, 33, 17}, {11, 31, 257}, {37, 41, 513}, {7, 1061, 35}};
  Generator random(18);
  std::printf("rung       ");
  for (const Size& s : sizes) std::printf("  %dx%dx%d", int(s.m), int(s.n), int(s.k));
  std::printf("\n");
  for (const ladder::Rung& rung : ladder::rungs) {
    std::printf("%-11s", rung.name);
    for (const Size& s : sizes) {
      const std::vector<float> a = randn({s.m, s.k}, {}, &random).to_vector<float>();
      const std::vector<float> b = randn({s.k, s.n}, {}, &random).to_vector<float>();
      const double share = worst_error(rung.gemm, s, a, b);
      check(share <= 1, rung.name, " is wrong at ", s.m, " x ", s.n, " x ", s.k);
      char size[40];
      std::printf("%*s", 2 + std::snprintf(size, sizeof(size), "%dx%dx%d", int(s.m), int(s.n), int(s.k)), "right");
    }
    std::printf("\n");
  }
}
