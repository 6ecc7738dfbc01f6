// What the rungs move between the caches, counted on a model of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tutorials/ladders/cache_model.h"

namespace gradus::ladder {

// Of the model: as on many processors.
constexpr int64_t line_bytes = 64, first_cache = 32 << 10, first_ways = 8, second_cache = 1 << 20, second_ways = 16;

// Rungs 1 to 5: the fifth by tiles of 12 x 32, which is what AVX-512 gets.
constexpr size_t traced_rungs = 5;

// Runs rung 0 (naive) to 4 (vectorised) on matrices (m, k) and (k, n), which report to `cache`. `with_stack`: so does
// what a rung keeps on the stack; the sums there would be in registers, and take almost nothing of a cache.
void trace(size_t rung, int64_t m, int64_t n, int64_t k, Cache& cache, bool with_stack = true);

struct Traffic {
  double operations;     // multiplications and additions
  double first, second;  // bytes that crossed between the first and the second cache, and between this and the rest
};
Traffic count_traffic(size_t rung, int64_t m, int64_t n, int64_t k);
// Of all traced rungs, several at a time.
std::array<Traffic, traced_rungs> count_traffic(int64_t m, int64_t n, int64_t k);

}  // namespace gradus::ladder
