// cpu_gemm [SIZE [THREADS]]: times every rung on square matrices (1024), and prints what each gained.
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <vector>

#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"
#include "tutorials/ladders/timing.h"

namespace {

using gradus::num_threads;
using gradus::ladder::best_time;

// 10^9 operations a second of all threads together, if nothing but multiply-adds had to be done.
double measured_peak() {
  const int64_t rounds = 1 << 20;
  const double operations = gradus::ladder::multiply_adds(1) * double(rounds) * num_threads();
  const double took = best_time(0.1, 1, [&] {
    gradus::parallel_for(num_threads(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) gradus::ladder::multiply_adds(rounds);
    });
  });
  return operations / took * 1e-9;
}

void climb(int64_t size) {
  using gradus::ladder::rungs;
  constexpr size_t count = std::size(rungs);
  const size_t elements = size_t(size * size);
  std::vector<float> a(elements), b(elements), c(elements);
  for (size_t i = 0; i < elements; ++i) {
    a[i] = float(i % 7) - 3;
    b[i] = float(i % 11) - 5;
  }
  double seconds[count], peak = 0;
  std::fill_n(seconds, count, 1e300);
  for (int round = 0; round < 3; ++round) {  // in turn, as a processor's frequency varies
    peak = std::max(peak, measured_peak());
    for (size_t r = 0; r < count; ++r) {
      const auto call = [&] { rungs[r].gemm(size, size, size, a.data(), b.data(), c.data()); };
      seconds[r] =
          std::min(seconds[r], best_time(0.2 * double(size) / 1024, 1 + (1 << 24) / (size * size * size), call));
    }
  }
  const int n = int(size);
  std::printf("%d x %d x %d, %s, threads: %d", n, n, n, gradus::isa(), num_threads());
  if (peak > 0) std::printf(", peak: %.0f GFLOP/s", peak);
  std::printf("\n\n");
  std::printf("%-12s %9s %14s %18s\n", "rung", "GFLOP/s", "share of peak", "times rung before");
  for (size_t r = 0; r < count; ++r) {
    const double speed = 2.0 * double(size) * double(size) * double(size) / seconds[r] * 1e-9;
    std::printf("%-12s %9.1f ", rungs[r].name, speed);
    if (peak > 0)
      std::printf("%13.1f%% ", 100 * speed / peak);
    else
      std::printf("%14s ", "-");
    if (r > 0)
      std::printf("%18.1f\n", seconds[r - 1] / seconds[r]);
    else
      std::printf("%18s\n", "-");
  }
}

}  // namespace

int main(int argc, char** argv) { return gradus::ladder::run("cpu_gemm", argc, argv, climb); }
