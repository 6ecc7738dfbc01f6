// One warp and its memory: how many transactions a load of 32 lanes takes, how many cycles shared memory needs, and
// what the transpose of exercise 20.3 costs.
#include <cstdio>
#include <vector>

#include "exercises.h"
#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"

using namespace gradus;
using ladder::AccessCounter;
using ladder::Accesses;
using ladder::Word;

namespace {

template <class T>
class OnDevice {
 public:
  explicit OnDevice(int64_t count)
      : bytes_(size_t(count) * sizeof(T)), data_(static_cast<T*>(cuda::allocate(bytes_))) {
    cuda::copy_to_device(data_, std::vector<float>(size_t(count), 1).data(), bytes_);
  }
  ~OnDevice() { cuda::deallocate(data_, bytes_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  T* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_;
  T* data_;
};

__global__ void load(const Word* x, int first, int stride, float* y) {
  y[threadIdx.x] = x[first + int(threadIdx.x) * stride];
}
__global__ void store_shared(int stride) {
  SIMT_SHARED(Word, words, [32 * 36]);
  words[int(threadIdx.x) * stride] = 1;
}

void global_memory() {
  const OnDevice<Word> x(32 * 1000);
  const OnDevice<float> y(32);
  std::printf("each of 32 lanes loads 4 bytes: bytes  transactions  bytes moved   used\n");
  const auto show = [&](const char* what, int first, int stride) {
    AccessCounter counter;
    counter.watch(x.data(), x.bytes());
    cuda::launch(load, 1, 32, 0, x.data(), first, stride, y.data());
    const Accesses a = counter.counted();
    std::printf("%-30s %6d %13d %12d %5.0f%%\n", what, int(a.bytes), int(a.sectors), int(32 * a.sectors),
                100.0 * double(a.bytes) / double(32 * a.sectors));
    return a.sectors;
  };
  const int64_t neighbours = show("neighbours", 0, 1);
  show("neighbours, from the second", 1, 1);
  show("neighbours, backwards", 31, -1);
  show("every second", 0, 2);
  const int64_t column = show("a column, rows of 1000", 0, 1000);
  check(neighbours == 4 && column == 32, "neighbours lie in 4 sectors, a column in 32");
}

void shared_memory() {
  const int lanes[] = {0, 1, 2, 3, 8, 16, 31};
  std::printf("\nbank of lane    ");
  for (const int lane : lanes) std::printf("%5d", lane);
  std::printf("    cycles\n");
  const auto show = [&](const char* what, int stride) {
    AccessCounter counter;
    cuda::launch(store_shared, 1, 32, 0, stride);
    const int64_t cycles = counter.counted().shared_cycles;
    std::printf("%-16s", what);
    for (const int lane : lanes) std::printf("%5d", lane * stride % 32);
    std::printf("%10d\n", int(cycles));
    return cycles;
  };
  show("a row", 1);
  show("stride 2", 2);
  const int64_t column = show("stride 32", 32), padded = show("stride 33", 33);
  show("stride 36", 36);
  check(column == 32 && padded == 1, "a column of 32 words is in one bank, with padding in all");
}

void transpose() {
  constexpr int64_t n = 96;
  const OnDevice<Word> x(n * n), y(n * n);
  AccessCounter counter;
  counter.watch(x.data(), x.bytes());
  counter.watch(y.data(), y.bytes());
  cuda::launch(ch20::conflicting_transpose, dim3(n / 32, n / 32), dim3(32, 8), 0, n, n, x.data(), n, y.data(), n);
  const Accesses a = counter.counted();
  std::printf("\nconflicting_transpose, 96 x 96\n");
  std::printf("  global memory: %d requests of warps, %d transactions\n", int(a.requests), int(a.sectors));
  std::printf("  shared memory: %d requests of warps, %d cycles\n", int(a.shared_requests), int(a.shared_cycles));
  check(a.sectors == 4 * a.requests, "rows of x and of y should be read and written as they lie");
}

}  // namespace

int main() {
  global_memory();
  shared_memory();
  transpose();
}
