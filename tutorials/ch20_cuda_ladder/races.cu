// Three kernels that often work on a GPU, and what the checker says of them; and of the same kernels, mended.
#include <cstdio>
#include <string>

#include "exercises.h"
#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"

using namespace gradus;

namespace {

template <bool returns_early>
__global__ void product_by_tiles(int m, int k, const float* a, const float* b, float* c) {  // b (k, 8), c (m, 8)
  SIMT_SHARED(float, a_tile, [8][8]);
  SIMT_SHARED(float, b_tile, [8][8]);
  const int x = int(threadIdx.x), y = int(threadIdx.y), i = int(blockIdx.x) * 8 + y;
  if (returns_early && i >= m) return;
  float sum = 0;
  for (int first = 0; first < k; first += 8) {
    a_tile[y][x] = i < m ? a[i * k + first + x] : 0;
    b_tile[y][x] = b[(first + y) * 8 + x];  // all of b is needed, whatever the row of c
    __syncthreads();
    for (int p = 0; p < 8; ++p) sum += a_tile[y][p] * b_tile[p][x];
    __syncthreads();
  }
  if (i < m) c[i * 8 + x] = sum;
}

template <int pending>
__global__ void double_buffered(int pieces, const float* x, float* y) {
  SIMT_SHARED(float, buffer, [2][64]);
  const int t = int(threadIdx.x);
  simt::cp_async<4>(&buffer[0][t], x + t);
  simt::cp_async_commit();
  float sum = 0;
  for (int i = 0; i < pieces; ++i) {
    if (i + 1 < pieces) simt::cp_async<4>(&buffer[(i + 1) % 2][t], x + (i + 1) * 64 + t);
    simt::cp_async_commit();
    simt::cp_async_wait<pending>();  // until no more than so many of the last groups are on their way
    __syncthreads();
    sum += buffer[i % 2][63 - t];
    __syncthreads();
  }
  y[t] = sum;
}

class Floats {
 public:
  explicit Floats(size_t count) : bytes_(count * sizeof(float)), data_(cuda::allocate(bytes_)) {
    const std::string zeros(bytes_, '\0');
    cuda::copy_to_device(data_, zeros.data(), bytes_);
  }
  ~Floats() { cuda::deallocate(data_, bytes_); }
  Floats(const Floats&) = delete;
  Floats& operator=(const Floats&) = delete;
  float* data() const { return static_cast<float*>(data_); }

 private:
  size_t bytes_;
  void* data_;
};

// The first thing that the checker says, in lines of readable length.
template <class Launch>
std::string report(const Launch& launch) {
  std::string text = "nothing to report";
  try {
    launch();
    cuda::synchronize();
  } catch (const Error& error) {
    text = error.what();
  }
  text = text.substr(0, text.find('\n'));
  for (const char* part : {" against ", " byte ", " other: "})
    if (const size_t at = text.find(part); at != std::string::npos) text.replace(at, 1, "\n    ");
  return text;
}

}  // namespace

int main() {
  const Floats a(70 * 200), x(256), y(70), b(16 * 8), c(13 * 8);
  const std::string race = report([&] {
    cuda::launch(ch20::racing_product, 2, 64, 0, int64_t(70), int64_t(200), a.data(), int64_t(200), x.data(),
                 y.data());
  });
  std::printf("a barrier is missing\n  %s\n", race.c_str());

  const auto tiles = [&](auto kernel) {
    return report([&] { cuda::launch(kernel, 2, dim3(8, 8), 0, 13, 16, a.data(), b.data(), c.data()); });
  };
  const std::string early = tiles(product_by_tiles<true>), late = tiles(product_by_tiles<false>);
  std::printf("threads beyond the edge return early\n  %s\nthey stay\n  %s\n", early.c_str(), late.c_str());

  const auto buffers = [&](auto kernel) {
    return report([&] { cuda::launch(kernel, 1, 64, 0, 4, x.data(), y.data()); });
  };
  const std::string two = buffers(double_buffered<2>), one = buffers(double_buffered<1>);
  std::printf("cp_async_wait<2>\n  %s\ncp_async_wait<1>\n  %s\n", two.c_str(), one.c_str());

  const auto says = [](const std::string& text, const char* words) { return text.find(words) != std::string::npos; };
  check(says(race, "data race in shared memory"), "the checker should find the race");
  check(says(early, "uninitialised shared memory") && says(late, "nothing"), "the checker should find the gap");
  check(says(two, "cp.async") && says(one, "nothing"), "the checker should find what was not waited for");
}
