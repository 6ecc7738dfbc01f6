// cpu_gemm [SIZE [THREADS]]: times every rung on square matrices (1024), and prints what each gained. With
// --csv FOLDER it also measures what limits them, counts what they move, and writes rungs.csv and limits.csv there.
#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "bench/bench.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"
#include "tutorials/ladders/cpu_gemm/traffic.h"
#include "tutorials/ladders/timing.h"

namespace {

using gradus::num_threads;
using gradus::ladder::best_time;
using gradus::ladder::Csv;
using gradus::ladder::digits;
using gradus::ladder::rungs;

constexpr size_t count = std::size(rungs);

// GFLOP/s of all threads together, if nothing but such operations had to be done.
double measured(double (*operations)(int64_t rounds), int64_t rounds) {
  const double all = operations(1) * double(rounds) * num_threads();
  const double took = best_time(0.1, 1, [&] {
    gradus::parallel_for(num_threads(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) operations(rounds);
    });
  });
  return all / took * 1e-9;
}

struct Speeds {
  double peak = 0, rung[count] = {};  // GFLOP/s
};

// From that rung on.
Speeds measure(int64_t size, size_t first_rung) {
  const size_t elements = size_t(size * size);
  std::vector<float> a(elements), b(elements), c(elements);
  for (size_t i = 0; i < elements; ++i) {
    a[i] = float(i % 7) - 3;
    b[i] = float(i % 11) - 5;
  }
  Speeds speeds;
  for (int round = 0; round < 3; ++round) {  // in turn, as a processor's frequency varies
    speeds.peak = std::max(speeds.peak, measured(gradus::ladder::multiply_adds, 1 << 20));
    for (size_t r = first_rung; r < count; ++r) {
      const auto call = [&] { rungs[r].gemm(size, size, size, a.data(), b.data(), c.data()); };
      const double seconds = best_time(0.2 * double(size) / 1024, 1 + (1 << 24) / (size * size * size), call);
      speeds.rung[r] = std::max(speeds.rung[r], 2e-9 * double(size) * double(size) * double(size) / seconds);
    }
  }
  return speeds;
}

void climb(int64_t size) {
  const Speeds speeds = measure(size, 0);
  const int n = int(size);
  std::printf("%d x %d x %d, %s, threads: %d", n, n, n, gradus::isa(), num_threads());
  if (speeds.peak > 0) std::printf(", peak: %.0f GFLOP/s", speeds.peak);
  std::printf("\n\n");
  std::printf("%-12s %9s %14s %18s\n", "rung", "GFLOP/s", "share of peak", "times rung before");
  for (size_t r = 0; r < count; ++r) {
    std::printf("%-12s %9.1f ", rungs[r].name, speeds.rung[r]);
    if (speeds.peak > 0)
      std::printf("%13.1f%% ", 100 * speeds.rung[r] / speeds.peak);
    else
      std::printf("%14s ", "-");
    if (r > 0)
      std::printf("%18.1f\n", speeds.rung[r] / speeds.rung[r - 1]);
    else
      std::printf("%18s\n", "-");
  }
}

// --- tables --------------------------------------------------------------------------------------------------------

using Moved = std::array<gradus::ladder::Traffic, gradus::ladder::traced_rungs>;

void write_limits(Csv& csv) {
  namespace roof = gradus::bench::roof;
  const int threads = num_threads();
  const auto time = threads == 1 ? gradus::bench::Time::processor : gradus::bench::Time::wall;
  const auto limit = [&](const std::string& name, double value, const char* unit) {
    if (value > 0) csv.row(name, threads, digits(value, value < 10 ? 2 : 1), unit);
  };
  limit("peak", measured(gradus::ladder::multiply_adds, 1 << 20), "GFLOP/s");
  limit("plain vectors", measured(gradus::ladder::many_sums, 1 << 14), "GFLOP/s");
  limit("one sum", measured(gradus::ladder::one_sum, 1 << 12), "GFLOP/s");
  limit("second cache", roof::read(threads * double(512 << 10), threads, time), "GB/s");
  limit("third cache", roof::read(8 << 20, threads, time), "GB/s");
  limit("memory", roof::read(512 << 20, threads, time), "GB/s");
}

// Rungs from first_rung on. What they move is counted for one thread: strips of rows go to whoever takes them.
void write_rungs(Csv& csv, int64_t size, size_t first_rung, const Moved& traffic) {
  const Speeds speeds = measure(size, first_rung);
  for (size_t r = first_rung; r < count; ++r) {
    std::string intensity[2];
    if (r < count - 1) {  // the library's tiles are not counted
      const gradus::ladder::Traffic& moved = traffic[std::min(r, traffic.size() - 1)];
      intensity[0] = digits(moved.operations / moved.first, 3);
      intensity[1] = digits(moved.operations / moved.second, 3);
    }
    csv.row(rungs[r].name, num_threads(), digits(speeds.rung[r], speeds.rung[r] < 10 ? 2 : 1),
            speeds.peak > 0 ? digits(100 * speeds.rung[r] / speeds.peak) : "", intensity[0], intensity[1]);
  }
}

void write(int64_t size, const std::string& folder) {
  std::fprintf(stderr, "counting what the rungs move\n");
  const Moved traffic = gradus::ladder::count_traffic(size, size, size);
  Csv limits(folder + "/limits.csv", "limit,threads,value,unit");
  limits.row("processor", "", gradus::ladder::processor(), "");
  limits.row("instruction set", "", gradus::isa(), "");
  limits.row("rows and columns", "", size, "");
  Csv csv(
      folder + "/rungs.csv",
      "rung,threads,GFLOP/s,% of peak,operations per byte of the second cache,operations per byte from beyond it");
  const int threads = num_threads();
  size_t first_rung = 0;
  for (const int used : threads > 1 ? std::vector<int>{1, threads} : std::vector<int>{1}) {
    std::fprintf(stderr, "measuring with threads: %d\n", used);
    gradus::set_num_threads(used);
    write_limits(limits);
    write_rungs(csv, size, first_rung, traffic);
    first_rung = count - 2;  // threaded and library
  }
}

}  // namespace

int main(int argc, char** argv) { return gradus::ladder::run("cpu_gemm", argc, argv, climb, write); }
