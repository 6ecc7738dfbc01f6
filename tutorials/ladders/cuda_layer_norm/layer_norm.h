// The rungs of the ladder. Each makes y = (x - mean) / sqrt(variance + eps) weight + bias for each row of x, mean and
// variance being the row's: float32, x and y (rows, n) without gaps, weight and bias (n), in the device's memory. A
// call returns when the kernel is on its way; cuda::synchronize() waits for it.
#pragma once

#include <cstdint>

namespace gradus::cuda_layer_norm_ladder {

inline constexpr float eps = 1e-5f;

using LayerNorm = void(int64_t rows, int64_t n, const float* x, const float* weight, const float* bias, float* y);

LayerNorm naive, shared, shuffles, library;

struct Rung {
  const char* name;
  LayerNorm* layer_norm;
};
inline constexpr Rung rungs[] = {{"naive", naive}, {"shared", shared}, {"shuffles", shuffles}, {"library", library}};

}  // namespace gradus::cuda_layer_norm_ladder
