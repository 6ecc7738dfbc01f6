// Rungs 5 and 6 for the instruction set that the library uses (GRADUS_ISA forces one). The reference has no
// vectors: there they are rung 4.
#include <string_view>

#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_gemm/isa.h"

namespace gradus::ladder {
namespace {

struct Kernels {
  Gemm* vectorised = packed;
  Gemm* threaded = packed;
  double (*multiply_adds)(int64_t) = [](int64_t) { return 0.0; };
};

Kernels chosen() {
  [[maybe_unused]] const std::string_view name = isa();
#if defined(__x86_64__)
  if (name == "avx512") return {avx512::vectorised, avx512::threaded, avx512::multiply_adds};
  if (name == "avx2") return {avx2::vectorised, avx2::threaded, avx2::multiply_adds};
#elif defined(__aarch64__)
  if (name == "neon") return {neon::vectorised, neon::threaded, neon::multiply_adds};
#endif
  return {};
}

}  // namespace

void vectorised(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  chosen().vectorised(m, n, k, a, b, c);
}

void threaded(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  chosen().threaded(m, n, k, a, b, c);
}

double multiply_adds(int64_t rounds) { return chosen().multiply_adds(rounds); }

}  // namespace gradus::ladder
