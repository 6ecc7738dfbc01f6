// The rungs of the ladder. Each makes y the softmax of each row of x, exp(x - m) / sum exp(x - m), m being the row's
// largest: float32, (rows, n) without gaps, in the device's memory. A call returns when the kernel is on its way;
// cuda::synchronize() waits for it.
#pragma once

#include <cstdint>

namespace gradus::cuda_softmax_ladder {

using Softmax = void(int64_t rows, int64_t n, const float* x, float* y);

Softmax naive, shared, shuffles, library;

struct Rung {
  const char* name;
  Softmax* softmax;
};
inline constexpr Rung rungs[] = {{"naive", naive}, {"shared", shared}, {"shuffles", shuffles}, {"library", library}};

}  // namespace gradus::cuda_softmax_ladder
