// cuda_attention [SIZE]: times every rung on SIZE queries and keys (4096; 64 where the device is emulated, whose times
// say nothing of a GPU's), and prints what each gained.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/ladders/cuda_attention/attention.h"
#include "tutorials/ladders/timing.h"

namespace {

using namespace gradus;

constexpr int64_t heads = 16, d = 128;

// Rows of all heads in the device's memory.
class Rows {
 public:
  Rows(int64_t n, int modulus) : bytes_(size_t(heads * n * d) * sizeof(BFloat16)), data_(cuda::allocate(bytes_)) {
    std::vector<BFloat16> numbers(size_t(heads * n * d));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = BFloat16(float(int(i % size_t(modulus)) - modulus / 2));
    cuda::copy_to_device(data_, numbers.data(), bytes_);
  }
  ~Rows() { cuda::deallocate(data_, bytes_); }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  BFloat16* data() const { return static_cast<BFloat16*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

// Seconds for one call, of the best of a few samples of several calls, all waited for together.
template <class F>
double seconds_of(const F& call, bool emulated) {
  call();
  cuda::synchronize();
  const double once = ladder::best_time(1e-9, 1, [&] { call(), cuda::synchronize(); });
  const int64_t calls = emulated ? 1 : std::clamp<int64_t>(int64_t(0.05 / once), 1, 1000);
  const auto sample = [&] {
    for (int64_t i = 0; i < calls; ++i) call();
    cuda::synchronize();
  };
  return ladder::best_time(emulated ? 1e-9 : 0.2, 1, sample) / double(calls);
}

void climb(int64_t n, bool emulated) {
  const Rows q(n, 7), k(n, 11), v(n, 13), output(n, 2);
  for (const bool causal : {false, true}) {
    std::printf("%d heads of %d x %d, bfloat16, %s, %s\n\n", int(heads), int(n), int(d),
                causal ? "causal" : "all keys seen", cuda::description().c_str());
    std::printf("%-12s %10s %9s %18s\n", "rung", "ms", "TFLOP/s", "times rung before");
    // A causal call needs half: each query sees half of the keys, on average.
    const double operations = (causal ? 2.0 : 4.0) * double(heads * n) * double(n * d);
    double before = 0;
    for (const cuda_attention_ladder::Rung& rung : cuda_attention_ladder::rungs) {
      const cuda_attention_ladder::Problem x{
          heads, n, d, q.data(), k.data(), v.data(), output.data(), 1 / std::sqrt(float(d)), causal};
      const double took = seconds_of([&] { rung.attend(x); }, emulated);
      std::printf("%-12s %10.3f %9.2f ", rung.name, took * 1e3, operations / took * 1e-12);
      if (before > 0)
        std::printf("%18.1f\n", before / took);
      else
        std::printf("%18s\n", "-");
      before = took;
    }
    std::printf("\n");
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (!cuda::available()) {
      std::fprintf(stderr, "error: device cuda: %s\n", cuda::description().c_str());
      return 1;
    }
    const bool emulated = cuda::description().find("emulat") != std::string::npos;
    int size = emulated ? 64 : 4096;
    if (argc > 2 || (argc > 1 && !ladder::parse(argv[1], 1 << 14, size))) {
      std::fprintf(stderr, "error: usage: cuda_attention [SIZE], SIZE at most 16384\n");
      return 2;
    }
    climb(size, emulated);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
