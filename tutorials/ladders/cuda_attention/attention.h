// The rungs of the ladder. Each computes, for every head, output = softmax(scale q k^T) v, where softmax makes weights
// of the scores that a query (a row of q) gives to the keys (rows of k) it sees. Numbers are bfloat16 in the device's
// memory and computed with in float32. A call returns when its kernels are on their way; cuda::synchronize() waits.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace gradus::cuda_attention_ladder {

struct Problem {
  int64_t heads, n, d;        // d at most 128, and a multiple of 8
  const BFloat16 *q, *k, *v;  // (heads, n, d) each, without gaps
  BFloat16* output;           // the same; what it held before does not matter, and it overlaps nothing
  float scale;                // as a rule 1 / sqrt(d)
  bool causal;                // query i sees keys 0 to i only
};

using Attend = void(const Problem& x);

Attend naive, fused, tiled, library;

struct Rung {
  const char* name;
  Attend* attend;
};
inline constexpr Rung rungs[] = {{"naive", naive}, {"fused", fused}, {"tiled", tiled}, {"library", library}};

}  // namespace gradus::cuda_attention_ladder
