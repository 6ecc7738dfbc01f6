// The variance of a row, computed by a warp in three ways, for rows ever farther from 0.
#include <cmath>
#include <cstdio>
#include <vector>

#include "tensor/error.h"
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/kernels/cuda/simt.h"
#include "tensor/random.h"
#include "tensor/tensor.h"
#include "tutorials/ladders/broken/gallery.h"

using namespace gradus;

namespace {

constexpr int warp = 32, per_lane = 32, n = warp * per_lane;
constexpr unsigned everyone = 0xffffffffu;

//! [variances]
__device__ float sum_of_warp(float value) {
  for (int step = warp / 2; step > 0; step /= 2) value += __shfl_xor_sync(everyone, value, step);
  return value;
}

// Each for a row that its warp holds in registers, v being a lane's part of it.
__device__ float by_squares(const float (&v)[per_lane]) {
  float sum = 0, squares = 0;
  for (const float x : v) sum += x, squares += x * x;
  const float mean = sum_of_warp(sum) / n;
  return sum_of_warp(squares) / n - mean * mean;
}

__device__ float in_two_passes(const float (&v)[per_lane]) {
  float sum = 0, squares = 0;
  for (const float x : v) sum += x;
  const float mean = sum_of_warp(sum) / n;
  for (const float x : v) squares += (x - mean) * (x - mean);
  return sum_of_warp(squares) / n;
}
//! [variances]

//! [welford]
// Of `count` numbers: their mean, and the sum of (number - mean)^2.
struct Moments {
  float count, mean, squares;
};

__device__ Moments merged(const Moments& a, const Moments& b) {
  const float count = a.count + b.count, gap = b.mean - a.mean;
  return {count, a.mean + gap * (b.count / count), a.squares + b.squares + gap * gap * (a.count * b.count / count)};
}

__device__ float by_welford(const float (&v)[per_lane]) {
  Moments m{0, 0, 0};
  for (const float x : v) m = merged(m, {1, x, 0});
  for (int step = warp / 2; step > 0; step /= 2) {
    const Moments other{__shfl_xor_sync(everyone, m.count, step), __shfl_xor_sync(everyone, m.mean, step),
                        __shfl_xor_sync(everyone, m.squares, step)};
    m = merged(m, other);
  }
  return m.squares / m.count;
}
//! [welford]

__global__ void variances(const float* x, float* result) {
  float v[per_lane];
  for (int k = 0; k < per_lane; ++k) v[k] = x[k * warp + int(threadIdx.x)];
  const float three[] = {by_squares(v), in_two_passes(v), by_welford(v)};
  for (int way = 0; way < 3; ++way)
    if (threadIdx.x == 0) result[way] = three[way];
}

double in_double(const std::vector<float>& x) {
  double mean = 0, squares = 0;
  for (const float value : x) mean += double(value) / n;
  for (const float value : x) squares += (double(value) - mean) * (double(value) - mean);
  return squares / n;
}

}  // namespace

int main() {
  Generator random(21);
  const std::vector<double> row = randn({n}, {.dtype = float64}, &random).to_vector();
  std::printf("%d numbers around a mean, standard deviation 1: their variance in float32\n", n);
  std::printf("    mean    exact    E[x^2] - E[x]^2    two passes    Welford\n");
  for (const double mean : {0.0, 10.0, 100.0, 1000.0, 10000.0}) {
    std::vector<float> x(n);
    for (size_t i = 0; i < n; ++i) x[i] = float(row[i] + mean);
    const broken::DeviceArray<float> from(n), to(3);
    cuda::copy_to_device(from.data(), x.data(), n * sizeof(float));
    cuda::launch(variances, 1, warp, 0, from.data(), to.data());
    float got[3];
    cuda::copy_to_host(got, to.data(), sizeof(got));
    const double exact = in_double(x);
    std::printf("%8.0f %8.4f %18.4f %13.4f %10.4f\n", mean, exact, double(got[0]), double(got[1]), double(got[2]));
    check(std::abs(double(got[1]) - exact) < 1e-4, "two passes should lose no digits");
    check(std::abs(double(got[2]) - exact) < 2e-3, "Welford's way should lose few digits");
    check(mean < 10000 || std::abs(double(got[0]) - exact) > 0.5, "the difference of squares should be useless");
  }
}
