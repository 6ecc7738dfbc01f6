// cpu_attention [SIZE [THREADS]]: times every rung on SIZE queries and keys (1024), and prints what each gained. With
// --csv FOLDER it takes 256, 512 ... up to SIZE of them, and writes machine.csv and cost.csv there.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "tensor/allocator.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_attention/attention.h"
#include "tutorials/ladders/timing.h"

namespace {

using gradus::num_threads;
using gradus::attention_ladder::rungs;
using gradus::ladder::Csv;
using gradus::ladder::digits;

constexpr size_t count = std::size(rungs);

// Bytes that a call takes and gives back.
template <class F>
int64_t extra_memory(const F& call) {
  gradus::reset_peak_memory();
  const int64_t before = gradus::memory_stats().live;
  call();
  return gradus::memory_stats().peak - before;
}

constexpr int64_t heads = 4, d = 64;

// Heads of n queries and keys.
class Inputs {
 public:
  explicit Inputs(int64_t n) : n_(n), q_(size_t(heads * n * d)), k_(q_.size()), v_(q_.size()), output_(q_.size()) {
    for (size_t i = 0; i < q_.size(); ++i) {
      q_[i] = float(i % 7) - 3;
      k_[i] = float(i % 11) - 5;
      v_[i] = float(i % 13) - 6;
    }
  }
  gradus::attention_ladder::Problem problem() {
    return {heads, n_, d, q_.data(), k_.data(), v_.data(), output_.data(), 1 / std::sqrt(float(d)), false};
  }
  double operations() const { return 4.0 * double(heads * n_) * double(n_ * d); }

 private:
  int64_t n_;
  std::vector<float> q_, k_, v_, output_;
};

void climb(int64_t n) {
  Inputs inputs(n);
  const gradus::attention_ladder::Problem x = inputs.problem();
  double seconds[count];
  int64_t bytes[count];
  std::fill_n(seconds, count, 1e300);
  for (int round = 0; round < 3; ++round) {  // in turn, as a processor's frequency varies
    for (size_t r = 0; r < count; ++r) {
      const auto call = [&] { rungs[r].attend(x); };
      bytes[r] = extra_memory(call);
      const int64_t calls = 1 + int64_t(1e7 / inputs.operations());
      seconds[r] = std::min(seconds[r], gradus::ladder::best_time(0.2 * double(n) / 1024, calls, call));
    }
  }
  std::printf("%d heads of %d x %d, %s, threads: %d\n\n", int(heads), int(n), int(d), gradus::isa(), num_threads());
  std::printf("%-12s %9s %9s %18s %16s\n", "rung", "ms", "GFLOP/s", "times rung before", "extra memory, KB");
  for (size_t r = 0; r < count; ++r) {
    std::printf("%-12s %9.2f %9.1f ", rungs[r].name, seconds[r] * 1e3, inputs.operations() / seconds[r] * 1e-9);
    if (r > 0)
      std::printf("%18.1f", seconds[r - 1] / seconds[r]);
    else
      std::printf("%18s", "-");
    std::printf(" %16.1f\n", double(bytes[r]) / 1024);
  }
}

// How time and memory grow: n doubles up to `most`, for each rung as long as a call should take less than two seconds
// and less than a GB.
void write(int64_t most, const std::string& folder) {
  Csv machine(folder + "/machine.csv", "what,value");
  machine.row("processor", gradus::ladder::processor());
  machine.row("instruction set", gradus::isa());
  machine.row("threads", num_threads());
  machine.row("heads", heads);
  machine.row("features of a head", d);
  Csv csv(folder + "/cost.csv", "rung,n,ms,extra KB");
  for (size_t r = 0; r < count; ++r) {
    std::fprintf(stderr, "measuring: %s\n", rungs[r].name);
    double seconds = 0, bytes = 0;
    for (int64_t n = 256; n <= most && 4 * seconds < 2 && 4 * bytes < 1 << 30; n *= 2) {
      Inputs inputs(n);
      const auto call = [&] { rungs[r].attend(inputs.problem()); };
      const int64_t calls = 1 + int64_t(1e7 / inputs.operations());
      bytes = double(extra_memory(call));
      seconds = gradus::ladder::best_time(0.5, calls, call);
      csv.row(rungs[r].name, n, digits(seconds * 1e3, 2), digits(bytes / 1024));
    }
    gradus::release_cached_memory();
  }
}

}  // namespace

int main(int argc, char** argv) { return gradus::ladder::run("cpu_attention", argc, argv, climb, write); }
