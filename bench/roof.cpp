// Peaks and bandwidths, measured: the fast ones of many short rounds.
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <algorithm>
#include <cstring>

#include "bench/bench.h"
#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"
#include "tensor/tensor.h"

namespace gradus::bench::roof {
namespace {

// 12 sums that do not wait for each other, of `rounds` multiply-adds each; gives the number of operations.
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
// Loops of 128 bytes; n is a multiple of 32.
[[gnu::target("avx")]] void copy_streaming(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    for (int64_t j = 0; j < 32; j += 8) _mm256_stream_ps(y + i + j, _mm256_load_ps(x + i + j));
  }
  _mm_sfence();
}
[[gnu::target("avx512f")]] void copy_avx512(const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    for (int64_t j = 0; j < 32; j += 16) _mm512_store_ps(y + i + j, _mm512_load_ps(x + i + j));
  }
}
[[gnu::target("avx512f")]] void read_avx512(const float* x, float*, int64_t n) {
  for (int64_t i = 0; i < n; i += 64) {
    __m512 a = _mm512_load_ps(x + i), b = _mm512_load_ps(x + i + 16);
    __m512 c = _mm512_load_ps(x + i + 32), d = _mm512_load_ps(x + i + 48);
    asm volatile("" ::"v"(a), "v"(b), "v"(c), "v"(d));
  }
}
[[gnu::target("avx")]] void read_avx2(const float* x, float*, int64_t n) {
  for (int64_t i = 0; i < n; i += 32) {
    __m256 a = _mm256_load_ps(x + i), b = _mm256_load_ps(x + i + 8);
    __m256 c = _mm256_load_ps(x + i + 16), d = _mm256_load_ps(x + i + 24);
    asm volatile("" ::"x"(a), "x"(b), "x"(c), "x"(d));
  }
}
#elif defined(__aarch64__)
double multiply_adds_neon(int rounds) {
  float32x4_t x = vdupq_n_f32(0.5f), sum[16];
  for (float32x4_t& s : sum) s = x;
  for (int i = 0; i < rounds; ++i) {
    for (float32x4_t& s : sum) {
      s = vfmaq_f32(x, s, x);
      asm volatile("" : "+w"(s));
    }
  }
  return 2.0 * 16 * 4 * rounds;
}
#endif
void copy_plain(const float* x, float* y, int64_t n) { std::memcpy(y, x, size_t(n) * 4); }
void read_plain(const float* x, float*, int64_t n) {
  float sum[16] = {};
  for (int64_t i = 0; i < n; i += 16) {
    for (int64_t j = 0; j < 16; ++j) sum[j] += x[i + j];
  }
  asm volatile("" ::"r"(sum) : "memory");
}

using Walk = void (*)(const float* x, float* y, int64_t n);

// GB/s of the best of these loops, each over chunks of two arrays of n floats that the threads share.
double bandwidth(std::initializer_list<Walk> walks, int64_t n, double bytes_per_float, int threads, Time time) {
  int before = num_threads();
  set_num_threads(threads);
  Tensor x = full({n}, 1), y = full({n}, 2);
  int64_t grain = std::clamp<int64_t>(n / threads / 4 / 64 * 64, 64, 1 << 18),
          repeats = std::max<int64_t>(1, (1 << 20) / n);
  int64_t share = n / threads / 64 * 64;
  double best = 1e300;
  for (Walk walk : walks) {
    auto pass = [&] {
      // A small array is walked many times by one chunk: the hand-over is not what is measured.
      if (repeats > 1) {
        parallel_for(threads, 1, [&](int64_t begin, int64_t) {
          float *from = x.data<float>() + begin * share, *to = y.data<float>() + begin * share;
          for (int64_t r = 0; r < repeats; ++r) walk(from, to, share);
        });
      } else {
        parallel_for(n, grain, [&](int64_t begin, int64_t end) {
          walk(x.data<float>() + begin, y.data<float>() + begin, end - begin);
        });
      }
    };
    best = std::min(best, time_calls(pass, n > 1 << 24 ? 0.6 : 0.15, time).decile);
  }
  set_num_threads(before);
  return bytes_per_float * double(n) * double(repeats) / best * 1e-9;
}

int64_t floats(double bytes) { return int64_t(bytes / 4) / 4096 * 4096; }

}  // namespace

std::string isa() {
  std::string name = gradus::isa();
  if (name != "reference") return name;
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") ? "avx512" : __builtin_cpu_supports("avx2") ? "avx2" : "none";
#else
  return "none";
#endif
}

Seconds giga_operations(const std::string& isa, double seconds, Time time) {
  double (*loop)(int) = nullptr;
#if defined(__x86_64__)
  if (isa == "avx2") loop = multiply_adds_avx2;
  if (isa == "avx512") loop = multiply_adds_avx512;
#elif defined(__aarch64__)
  if (isa == "neon") loop = multiply_adds_neon;
#endif
  if (!loop) return {0, 0};
  const int rounds = 100000;
  auto pass = [&] {
    parallel_for(num_threads(), 1, [&](int64_t from, int64_t to) { loop(rounds * int(to - from)); });
  };
  double scale = 1e9 / (loop(1) * rounds * num_threads());
  Seconds took = time_calls(pass, seconds, time);
  return {took.median * scale, took.decile * scale};
}

double copy(double bytes, int threads, Time time) {
#if defined(__x86_64__)
  if (isa() == "avx512")
    return bandwidth({copy_plain, copy_avx512, copy_streaming}, floats(bytes / 2), 8, threads, time);
  if (isa() == "avx2") return bandwidth({copy_plain, copy_streaming}, floats(bytes / 2), 8, threads, time);
#endif
  return bandwidth({copy_plain}, floats(bytes / 2), 8, threads, time);
}

double read(double bytes, int threads, Time time) {
#if defined(__x86_64__)
  if (isa() == "avx512") return bandwidth({read_avx512}, floats(bytes), 4, threads, time);
  if (isa() == "avx2") return bandwidth({read_avx2}, floats(bytes), 4, threads, time);
#endif
  return bandwidth({read_plain}, floats(bytes), 4, threads, time);
}

}  // namespace gradus::bench::roof
