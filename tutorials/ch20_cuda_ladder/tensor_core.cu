// One instruction of a tensor core, by hand: which lane holds which numbers, how many operations it does, and what it
// costs to round factors to TF32.
#include <cmath>
#include <cstdio>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/kernels/cuda/simt.h"
#include "tensor/random.h"

using namespace gradus;

namespace {

constexpr int m = 16, n = 8, k = 8;

//! [mma]
// One warp: a (16, 8) times b (8, 8) is c (16, 8), with four, two and four numbers in each lane.
__global__ void multiply_warp(const float* a, const float* b, float* c) {
  const int group = int(threadIdx.x) / 4, place = int(threadIdx.x) % 4;
  const auto tf32 = [](float x) { return __float_as_uint(x) + 0x1000; };  // of the mantissa, 10 bits will count
  const uint32_t of_a[4] = {tf32(a[group * k + place]), tf32(a[(group + 8) * k + place]),
                            tf32(a[group * k + place + 4]), tf32(a[(group + 8) * k + place + 4])};
  const uint32_t of_b[2] = {tf32(b[place * n + group]), tf32(b[(place + 4) * n + group])};
  float sums[4] = {};
  simt::mma_m16n8k8_tf32(sums, of_a, of_b);
  for (int i = 0; i < 4; ++i) c[(group + i / 2 * 8) * n + 2 * place + i % 2] = sums[i];
}
//! [mma]

}  // namespace

int main() {
  std::printf("lane      of a                                of b            of c\n");
  for (const int lane : {0, 1, 4, 31}) {
    const int g = lane / 4, p = lane % 4;
    std::printf("%4d      (%d,%d) (%d,%d) (%d,%d) (%d,%d)", lane, g, p, g + 8, p, g, p + 4, g + 8, p + 4);
    std::printf("%*s(%d,%d) (%d,%d)     (%d,%d) (%d,%d) (%d,%d) (%d,%d)\n", g + 8 > 9 ? 6 : 8, "", p, g, p + 4, g, g,
                2 * p, g, 2 * p + 1, g + 8, 2 * p, g + 8, 2 * p + 1);
  }
  std::printf("\noperations of one instruction of a warp\n");
  std::printf("  multiply-add            %4d\n  mma.m16n8k8, TF32       %4d\n  mma.m16n8k16, bfloat16  %4d\n\n",
              2 * 32, 2 * m * n * k, 2 * m * n * 16);

  Generator random(20);
  const std::vector<float> a = randn({m, k}, {}, &random).to_vector<float>();
  const std::vector<float> b = randn({k, n}, {}, &random).to_vector<float>();
  std::vector<float> c(m * n);
  const auto on_device = [](const std::vector<float>& x) {
    void* memory = cuda::allocate(x.size() * sizeof(float));
    cuda::copy_to_device(memory, x.data(), x.size() * sizeof(float));
    return static_cast<float*>(memory);
  };
  float *a_there = on_device(a), *b_there = on_device(b), *c_there = on_device(c);
  cuda::launch(multiply_warp, 1, 32, 0, a_there, b_there, c_there);
  cuda::copy_to_host(c.data(), c_there, c.size() * sizeof(float));
  for (const auto& [memory, count] : {std::pair{a_there, a.size()}, {b_there, b.size()}, {c_there, c.size()}})
    cuda::deallocate(memory, count * sizeof(float));

  double worst = 0;  // error as a share of the sum of the products' magnitudes
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0, magnitude = 0;
      for (int p = 0; p < k; ++p) {
        const double term = double(a[size_t(i * k + p)]) * double(b[size_t(p * n + j)]);
        sum += term;
        magnitude += std::abs(term);
      }
      worst = std::max(worst, std::abs(double(c[size_t(i * n + j)]) - sum) / magnitude);
    }
  }
  std::printf("largest error, of the sum of magnitudes: %.1e; two roundings to TF32 allow for %.1e\n", worst,
              0x1p-10);
  check(worst < 0x1p-10 && worst > 0x1p-16, "errors should be those of factors with 10 bits of mantissa");
}
