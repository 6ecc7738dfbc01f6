// Kernels by themselves: GFLOP/s (or GB/s) and the share of the processor's peak, with one thread and with
// all. GRADUS_ISA chooses the instruction set.
#include <benchmark/benchmark.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "autograd/ops.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"

namespace gradus {
namespace {

// --- the peak ------------------------------------------------------------------------------------------------------

// 16 sums that do not wait for each other, of `rounds` multiply-adds each; gives the number of operations.
#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] double multiply_adds_avx2(int rounds) {
  __m256 x = _mm256_set1_ps(0.5f), sum[12];
  for (__m256& s : sum) s = x;
  for (int i = 0; i < rounds; ++i) {
    for (__m256& s : sum) {
      s = _mm256_fmadd_ps(s, x, x);
      asm volatile("" : "+x"(s));
    }
  }
  return 2.0 * 12 * 8 * rounds;
}
[[gnu::target("avx512f")]] double multiply_adds_avx512(int rounds) {
  __m512 x = _mm512_set1_ps(0.5f), sum[12];
  for (__m512& s : sum) s = x;
  for (int i = 0; i < rounds; ++i) {
    for (__m512& s : sum) {
      s = _mm512_fmadd_ps(s, x, x);
      asm volatile("" : "+v"(s));
    }
  }
  return 2.0 * 12 * 16 * rounds;
}
#endif

// GFLOP/s of one thread that multiplies and adds without loads or stores: the best of many short rounds. 0
// where the instruction set has no such loop here.
double peak() {
  static const double best = [] {
    double (*loop)(int) = nullptr;
    std::string name = isa();
#if defined(__x86_64__)
    if (name == "avx2") loop = multiply_adds_avx2;
    if (name == "avx512") loop = multiply_adds_avx512;
#endif
    double gflops = 0;
    for (int i = 0; loop && i < 200; ++i) {
      auto begin = std::chrono::steady_clock::now();
      double operations = loop(20000);
      std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      gflops = std::max(gflops, operations / seconds.count() * 1e-9);
    }
    std::printf("%s: one thread's peak is %.1f GFLOP/s\n", name.c_str(), gflops);
    return gflops;
  }();
  return best;
}

// --- reporting -----------------------------------------------------------------------------------------------------

// Times calls of f, which does `flops` operations and must move `bytes`.
template <class F>
void measure(benchmark::State& state, double flops, double bytes, F f) {
  using Clock = std::chrono::steady_clock;
  double best = 1e300;
  f();  // touches the memory
  for (auto _ : state) {
    Clock::time_point begin = Clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - begin).count());
  }
  if (flops > 0) state.counters["GFLOP/s"] = flops / best * 1e-9;
  if (flops > 0 && peak() > 0) state.counters["peak%"] = 100 * flops / best * 1e-9 / (peak() * num_threads());
  if (bytes > 0) state.counters["GB/s"] = bytes / best * 1e-9;
}

// Registers `body` with one thread and, if there are more, with all.
template <class Body>
void add(const std::string& name, Body body) {
  static const int all = num_threads();
  for (int threads = 1;; threads = all) {
    std::string full = name + "/threads:" + std::to_string(threads);
    benchmark::RegisterBenchmark(full.c_str(), [body, threads](benchmark::State& state) {
      set_num_threads(threads);
      NoGrad guard;
      body(state);
    })->UseRealTime();
    if (threads == all) break;
  }
}

// --- what is measured ----------------------------------------------------------------------------------------------

// batch x (m, k) (k, n); `kind` says of each operand whether it lies as it is (N) or transposed (T).
void matmul_shape(const std::string& kind, int64_t m, int64_t n, int64_t k, int64_t batch = 1) {
  std::string name = "matmul/" + kind + " " + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  if (batch > 1) name += " of " + std::to_string(batch);
  add(name, [=](benchmark::State& state) {
    Tensor a = kind[0] == 'T' ? randn({batch, k, m}).transpose(1, 2) : randn({batch, m, k});
    Tensor b = kind[1] == 'T' ? randn({batch, n, k}).transpose(1, 2) : randn({batch, k, n});
    Tensor c = empty({batch, m, n});
    Matmul args{.a = a.raw(), .b = b.raw(), .c = c.raw()};
    measure(state, 2.0 * double(batch * m * n * k), 0, [&] { kernels(Device::cpu, float32).matmul(args); });
  });
}

void conv_shape(const std::string& name, Conv2d c) {
  c.out_h = (c.height + 2 * c.pad_h - c.kernel_h) / c.stride_h + 1;
  c.out_w = (c.width + 2 * c.pad_w - c.kernel_w) / c.stride_w + 1;
  double flops = 2.0 * double(c.batch * c.out_channels * c.out_h * c.out_w * (c.in_channels / c.groups) * c.kernel_h *
                              c.kernel_w);
  for (const char* what : {"forward", "grad_input", "grad_weight"}) {
    add("conv2d/" + name + " " + what, [=, which = std::string(what)](benchmark::State& state) {
      Tensor x = randn({c.batch, c.in_channels, c.height, c.width});
      Tensor w = randn({c.out_channels, c.in_channels / c.groups, c.kernel_h, c.kernel_w});
      Tensor y = randn({c.batch, c.out_channels, c.out_h, c.out_w});
      const KernelTable& table = kernels(Device::cpu, float32);
      float *px = x.data<float>(), *pw = w.data<float>(), *py = y.data<float>();
      measure(state, flops, 0, [&] {
        if (which == "forward") table.conv2d(c, px, pw, nullptr, py);
        if (which == "grad_input") table.conv2d_grad_input(c, py, pw, px);
        if (which == "grad_weight") table.conv2d_grad_weight(c, px, py, pw);
      });
    });
  }
}

// An op as users call it; `bytes` are those it must read and write.
template <class F>
void op(const std::string& name, const Shape& shape, double bytes_per_element, F f) {
  std::string full = name + "/";
  for (int64_t size : shape) full += (full.back() == '/' ? "" : "x") + std::to_string(size);
  add(full, [=](benchmark::State& state) {
    Tensor x = randn(shape);
    measure(state, 0, bytes_per_element * double(x.numel()), [&] { benchmark::DoNotOptimize(f(x)); });
  });
}

bool register_all() {
  for (int64_t n : {64, 256, 512, 1024, 2048}) matmul_shape("NN", n, n, n);
  for (const char* kind : {"NT", "TN", "TT"}) matmul_shape(kind, 1024, 1024, 1024);
  matmul_shape("NN", 4096, 256, 256);
  matmul_shape("NT", 4096, 1024, 256);
  matmul_shape("NN", 256, 256, 4096);
  matmul_shape("TN", 256, 256, 4096);  // the gradient of a weight
  matmul_shape("NN", 64, 64, 64, 512);
  matmul_shape("NT", 256, 256, 64, 48);  // attention scores
  // Layers of small networks, batch 64.
  matmul_shape("NT", 64, 256, 784);
  matmul_shape("NT", 64, 10, 128);
  matmul_shape("NT", 128, 10, 784);
  matmul_shape("NT", 32, 1024, 256);
  matmul_shape("NT", 64, 768, 256);
  matmul_shape("NT", 1, 1024, 256);
  matmul_shape("NN", 1, 1024, 256);
  matmul_shape("NT", 1280, 8000, 256);
  matmul_shape("NN", 12544, 32, 144);

  Conv2d c{};
  c.batch = 64, c.in_channels = 1, c.out_channels = 32, c.height = c.width = 28;
  c.kernel_h = c.kernel_w = 3, c.pad_h = c.pad_w = 1;
  conv_shape("1x28x28 to 32, 3x3", c);
  c.in_channels = 32, c.out_channels = 64, c.height = c.width = 14;
  conv_shape("32x14x14 to 64, 3x3", c);
  c.kernel_h = c.kernel_w = 5, c.pad_h = c.pad_w = 2;
  conv_shape("32x14x14 to 64, 5x5", c);
  c.batch = 8, c.in_channels = c.out_channels = 64, c.height = c.width = 56;
  c.kernel_h = c.kernel_w = 3, c.pad_h = c.pad_w = 1;
  conv_shape("64x56x56 to 64, 3x3", c);
  c.stride_h = c.stride_w = 2, c.out_channels = 128;
  conv_shape("64x56x56 to 128, 3x3 by 2", c);
  c.stride_h = c.stride_w = 1, c.in_channels = c.out_channels = 256, c.height = c.width = 7;
  conv_shape("256x7x7 to 256, 3x3", c);
  c.groups = 128, c.in_channels = c.out_channels = 128, c.height = c.width = 28;
  conv_shape("128x28x28 depthwise, 3x3", c);

  op("add", {1 << 24}, 12, [](const Tensor& x) { return x + x; });
  op("relu", {64, 32, 28, 28}, 8, [](const Tensor& x) { return relu(x); });
  op("exp", {1 << 22}, 8, [](const Tensor& x) { return exp(x); });
  op("tanh", {1 << 22}, 8, [](const Tensor& x) { return tanh(x); });
  op("gelu", {1 << 22}, 8, [](const Tensor& x) { return gelu(x); });
  op("sum", {4096, 1024}, 4, [](const Tensor& x) { return x.sum(); });
  op("sum of columns", {4096, 1024}, 4, [](const Tensor& x) { return x.sum(0); });
  op("softmax", {4096, 1024}, 8, [](const Tensor& x) { return softmax(x, -1); });
  op("log_softmax", {1600, 8000}, 8, [](const Tensor& x) { return log_softmax(x, -1); });
  op("layer_norm", {4096, 256}, 8, [](const Tensor& x) { return layer_norm(x, {256}); });
  op("transposed copy", {2048, 2048}, 8, [](const Tensor& x) { return x.t().contiguous(); });
  op("max_pool2d", {64, 32, 28, 28}, 7, [](const Tensor& x) { return max_pool2d(x, {.kernel = 2}); });
  op("avg_pool2d", {64, 32, 28, 28}, 5, [](const Tensor& x) { return avg_pool2d(x, {.kernel = 2}); });
  return true;
}

const bool registered = register_all();

}  // namespace
}  // namespace gradus
