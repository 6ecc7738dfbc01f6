// cpu_attention [SIZE [THREADS]]: times every rung on SIZE queries and keys (1024), and prints what each gained.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <vector>

#include "tensor/allocator.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_attention/attention.h"
#include "tutorials/ladders/timing.h"

namespace {

using gradus::num_threads;

// Bytes that a call takes and gives back.
template <class F>
int64_t extra_memory(const F& call) {
  gradus::reset_peak_memory();
  const int64_t before = gradus::memory_stats().live;
  call();
  return gradus::memory_stats().peak - before;
}

void climb(int64_t n) {
  using gradus::attention_ladder::rungs;
  constexpr size_t count = std::size(rungs);
  constexpr int64_t heads = 4, d = 64;
  const size_t elements = size_t(heads * n * d);
  std::vector<float> q(elements), k(elements), v(elements), output(elements);
  for (size_t i = 0; i < elements; ++i) {
    q[i] = float(i % 7) - 3;
    k[i] = float(i % 11) - 5;
    v[i] = float(i % 13) - 6;
  }
  const float scale = 1 / std::sqrt(float(d));
  const gradus::attention_ladder::Problem x{heads, n, d, q.data(), k.data(), v.data(), output.data(), scale, false};
  const double operations = 4.0 * double(heads * n) * double(n * d);
  double seconds[count];
  int64_t bytes[count];
  std::fill_n(seconds, count, 1e300);
  for (int round = 0; round < 3; ++round) {  // in turn, as a processor's frequency varies
    for (size_t r = 0; r < count; ++r) {
      const auto call = [&] { rungs[r].attend(x); };
      bytes[r] = extra_memory(call);
      const int64_t calls = 1 + int64_t(1e7 / operations);
      seconds[r] = std::min(seconds[r], gradus::ladder::best_time(0.2 * double(n) / 1024, calls, call));
    }
  }
  std::printf("%d heads of %d x %d, %s, threads: %d\n\n", int(heads), int(n), int(d), gradus::isa(), num_threads());
  std::printf("%-12s %9s %9s %18s %16s\n", "rung", "ms", "GFLOP/s", "times rung before", "extra memory, KB");
  for (size_t r = 0; r < count; ++r) {
    std::printf("%-12s %9.2f %9.1f ", rungs[r].name, seconds[r] * 1e3, operations / seconds[r] * 1e-9);
    if (r > 0)
      std::printf("%18.1f", seconds[r - 1] / seconds[r]);
    else
      std::printf("%18s", "-");
    std::printf(" %16.1f\n", double(bytes[r]) / 1024);
  }
}

}  // namespace

int main(int argc, char** argv) { return gradus::ladder::run("cpu_attention", argc, argv, climb); }
