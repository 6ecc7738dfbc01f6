// What keeps a loop down that is compiled for any processor of its kind, whatever it reads.
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {
namespace {

constexpr int64_t count = 1024;  // 4 KB of each, in the first cache

float keep(float x) {
  volatile float kept = x;  // or the compiler would leave out what nobody looks at
  return kept;
}

}  // namespace

// Sums that wait for themselves, as in rung 1: an addition begins when the one before has ended.
double one_sum(int64_t rounds) {
  float a[count], b[count], sum = 0;
  for (int64_t p = 0; p < count; ++p) a[p] = b[p] = keep(0.5f);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int64_t p = 0; p < count; ++p) sum += a[p] * b[p];
  }
  keep(sum);
  return 2.0 * double(count) * double(rounds);
}

// 32 sums beside each other, in registers: vectors of 4 on x86-64 and 64-bit ARM, as in rung 4.
double many_sums(int64_t rounds) {
  constexpr int64_t width = 32;
  float sum[width];
  const float factor = keep(0.5f), added = keep(1);
  for (int64_t i = 0; i < width; ++i) sum[i] = keep(float(i));
  for (int64_t r = 0; r < rounds * (count / width); ++r) {
    for (int64_t i = 0; i < width; ++i) sum[i] = sum[i] * factor + added;
  }
  for (int64_t i = 0; i < width; ++i) keep(sum[i]);
  return 2.0 * double(count) * double(rounds);
}

}  // namespace gradus::ladder
