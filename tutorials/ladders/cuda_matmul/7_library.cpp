// Rung 7, library: what Gradus multiplies with, tensor/kernels/cuda/matmul.h and matmul_simt.cu. It is rung 6 and
//  - three stages, not two, and fragments in registers for the next step while this one is multiplied;
//  - threads of a warp laid out so that half a warp's load of 16 bytes for each is served in one access;
//  - smaller tiles where C is small, and the depth in parts where even those are too few for all multiprocessors;
//  - one of the factors read once, as fast as memory can, where the other has 8 rows or columns at most;
//  - blocks in an order in which those at work at one time read the same rows and columns, from the second cache;
//  - transposed matrices, batches, alpha, a residual, a bias and an activation before C is written, in whole rows.
//
// Rung 8, tensor cores: matmul_tensor_core.cu, the same loop around mma.sync, by which a warp multiplies 16 x 8 by 8
// x 8 numbers in one instruction. Factors are rounded to TF32, 10 bits of mantissa; sums are float32. For bfloat16
// the instruction is twice as large, and nothing else differs.
#include "tensor/kernels/cuda/precision.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cuda_matmul/gemm.h"

namespace gradus::cuda_ladder {

//! [library]
void library(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const auto view = [](const float* x, int64_t rows, int64_t columns) {
    return View{const_cast<float*>(x), 3, {1, rows, columns}, {rows * columns, columns, 1}};
  };
  kernels(Device::cuda, float32).matmul({.a = view(a, m, k), .b = view(b, k, n), .c = view(c, m, n)});
}
//! [library]

void tensor_cores(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const cuda::MatmulPrecision before = cuda::matmul_precision();
  cuda::set_matmul_precision(cuda::MatmulPrecision::high);
  library(m, n, k, a, b, c);
  cuda::set_matmul_precision(before);
}

}  // namespace gradus::cuda_ladder
