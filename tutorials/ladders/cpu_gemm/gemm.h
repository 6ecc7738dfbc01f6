// The rungs of the ladder. Each computes C = A B for row-major float32 matrices without gaps between rows: A (m,
// k), B (k, n), C (m, n). What C held before does not matter; sizes may be 0, and C may not overlap A or B.
#pragma once

#include <cstdint>

namespace gradus::ladder {

using Gemm = void(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c);

Gemm naive, reordered, blocked, packed, vectorised, threaded, library;

struct Rung {
  const char* name;
  Gemm* gemm;
};
inline constexpr Rung rungs[] = {
    {"naive", naive},           {"reordered", reordered}, {"blocked", blocked}, {"packed", packed},
    {"vectorised", vectorised}, {"threaded", threaded},   {"library", library},
};

// As many sums of whole vectors as a tile of rung 5 has, of `rounds` multiply-adds each, which stay in registers:
// nothing can be faster. Returns the number of operations; 0 where the instruction set in use has no vectors.
double multiply_adds(int64_t rounds);

// Ceilings of what is compiled for any processor of its kind (ceilings.cpp): sums that wait for themselves, and as many
// beside each other as fit into registers. Both return the number of operations.
double one_sum(int64_t rounds);
double many_sums(int64_t rounds);

}  // namespace gradus::ladder
