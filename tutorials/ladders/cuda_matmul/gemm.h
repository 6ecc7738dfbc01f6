// The rungs of the ladder. Each computes C = A B for row-major float32 matrices in the device's memory, without gaps
// between rows: A (m, k), B (k, n), C (m, n). What C held before does not matter; sizes may be 0, and C may not overlap
// A or B. A call returns when the kernel is on its way; cuda::synchronize() waits for it.
#pragma once

#include <cstdint>

namespace gradus::cuda_ladder {

using Gemm = void(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);

Gemm naive, coalesced, shared, registers, vectorised, async, library, tensor_cores;

struct Rung {
  const char* name;
  Gemm* gemm;
  double factor_error = 0;  // what a factor may be wrong by, relatively, before it is multiplied
};
inline constexpr Rung rungs[] = {
    {"naive", naive},           {"coalesced", coalesced},
    {"shared", shared},         {"registers", registers},
    {"vectorised", vectorised}, {"async", async},
    {"library", library},       {"tensor_cores", tensor_cores, 0x1p-11},
};

// Multiply-adds on registers alone, in as many threads as the device can hold: nothing can be faster. Returns the
// number of operations.
double multiply_adds(int rounds);

}  // namespace gradus::cuda_ladder
