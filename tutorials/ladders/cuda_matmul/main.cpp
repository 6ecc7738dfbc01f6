// cuda_matmul [SIZE]: times every rung on square matrices (4096; 128 where the device is emulated, whose times say
// nothing of a GPU's), and prints what each gained.
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <vector>

#include "tensor/kernels/cuda/runtime.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"
#include "tutorials/ladders/timing.h"

namespace {

using namespace gradus;

// Square matrices in the device's memory.
class Matrix {
 public:
  Matrix(int64_t size, int modulus) : bytes_(size_t(size * size) * sizeof(float)), data_(cuda::allocate(bytes_)) {
    std::vector<float> numbers(size_t(size * size));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = float(int(i) % modulus - modulus / 2);
    cuda::copy_to_device(data_, numbers.data(), bytes_);
  }
  ~Matrix() { cuda::deallocate(data_, bytes_); }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
  float* data() const { return static_cast<float*>(data_); }

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
  return ladder::best_time(emulated ? 1e-9 : 0.2, 1,
                           [&] {
                             for (int64_t i = 0; i < calls; ++i) call();
                             cuda::synchronize();
                           }) /
         double(calls);
}

void climb(int64_t size, bool emulated) {
  const Matrix a(size, 7), b(size, 11), c(size, 2);
  const int rounds = emulated ? 1 : 4096;
  double operations = 0;
  const double peak_seconds = seconds_of([&] { operations = cuda_ladder::multiply_adds(rounds); }, emulated);
  const double peak = operations / peak_seconds * 1e-9;
  const int n = int(size);
  std::printf("%d x %d x %d, %s, peak: %.0f GFLOP/s\n\n", n, n, n, cuda::description().c_str(), peak);
  std::printf("%-12s %9s %14s %18s\n", "rung", "GFLOP/s", "share of peak", "times rung before");
  double before = 0;
  for (const cuda_ladder::Rung& rung : cuda_ladder::rungs) {
    const double took = seconds_of([&] { rung.gemm(size, size, size, a.data(), b.data(), c.data()); }, emulated);
    const double speed = 2.0 * double(size) * double(size) * double(size) / took * 1e-9;
    std::printf("%-12s %9.1f %13.1f%% ", rung.name, speed, 100 * speed / peak);
    if (before > 0)
      std::printf("%18.1f\n", speed / before);
    else
      std::printf("%18s\n", "-");
    before = speed;
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
    int size = emulated ? 128 : 4096;
    if (argc > 2 || (argc > 1 && !ladder::parse(argv[1], 1 << 14, size))) {
      std::fprintf(stderr, "error: usage: cuda_matmul [SIZE], SIZE at most 16384\n");
      return 2;
    }
    climb(size, emulated);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
