// How exactly products of float32 matrices are computed on a CUDA device. Plain C++.
#pragma once

namespace gradus::cuda {

// highest: float32 throughout. high: factors are rounded to TF32 (10 bits of mantissa) and multiplied by tensor cores,
// where the device has them; sums are float32 all the same. The names are PyTorch's.
enum class MatmulPrecision { highest, high };

MatmulPrecision matmul_precision();  // highest, until it is set
void set_matmul_precision(MatmulPrecision precision);

// For tests and measurements: every product is cut into tiles of the kind with this number (of the last, where there
// are fewer; see matmul.h), its depth into so many parts. Kind -1: chosen by size.
void force_matmul_tiling(int kind, int splits = 1);

}  // namespace gradus::cuda
