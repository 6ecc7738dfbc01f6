// What the rungs of the matrix product move between caches: a small example that can be checked by hand, what a power
// of two does to the first rung, and operations per byte of all rungs.
#include <cstdio>

#include "tensor/error.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"
#include "tutorials/ladders/cpu_gemm/traffic.h"

namespace {

using gradus::check;
using gradus::ladder::Cache;
using gradus::ladder::rungs;
using gradus::ladder::Traffic;

// Matrices of 4 x 4, and a cache of 3 lines, each of which holds a row: how many lines come in?
int64_t lines_fetched(size_t rung) {
  Cache cache(3, 3, 4 * sizeof(float));
  gradus::ladder::trace(rung, 4, 4, 4, cache, false);
  return cache.fetched;
}

void small_example() {
  const int64_t naive = lines_fetched(0), reordered = lines_fetched(1);
  std::printf("4 x 4 matrices, a cache of 3 rows: lines fetched\n");
  std::printf("  naive      %3d\n  reordered  %3d\n\n", int(naive), int(reordered));
  check(naive > 3 * reordered, "the second rung should fetch far fewer lines");
}

void power_of_two() {
  std::printf("naive, 8 rows of C: bytes moved for each multiply-add\n");
  std::printf("  n = k    from the second cache    from beyond it\n");
  double beyond[2];
  for (int64_t n : {1000, 1024}) {
    const Traffic t = gradus::ladder::count_traffic(0, 8, n, n);
    const double steps = t.operations / 2;
    std::printf("  %5d %24.1f %17.1f\n", int(n), t.first / steps, t.second / steps);
    beyond[n == 1024] = t.second / steps;
  }
  std::printf("\n");
  check(beyond[1] > 8 * beyond[0], "with 1024 columns everything should come from beyond the second cache");
}

void all_rungs() {
  constexpr int64_t n = 600;
  std::printf("%d x %d x %d, caches of 32 KB and 1 MB\n", int(n), int(n), int(n));
  std::printf("            million bytes moved       operations per byte\n");
  std::printf("rung       2nd cache   beyond it    2nd cache   beyond it\n");
  const auto all = gradus::ladder::count_traffic(n, n, n);
  const auto intensity = [&](size_t r) { return all[r].operations / all[r].first; };
  for (size_t r = 0; r < all.size(); ++r) {
    const Traffic& t = all[r];
    std::printf("%-10s %9.0f %11.1f %12.2f %11.1f\n", rungs[r].name, t.first * 1e-6, t.second * 1e-6, intensity(r),
                t.operations / t.second);
  }
  check(intensity(1) > 10 * intensity(0), "reordered: more should be done with each byte of the second cache");
  check(all[2].second < 0.1 * all[1].second, "blocked: fewer bytes should come from beyond the second cache");
  check(intensity(3) > 3 * intensity(2), "packed: more should be done with each byte of the second cache");
  check(intensity(4) > 1.5 * intensity(3), "vectorised: more should be done with each byte of the second cache");
}

}  // namespace

int main() {
  small_example();
  power_of_two();
  all_rungs();
}
