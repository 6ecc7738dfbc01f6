// Rung 7, library: what Gradus multiplies with, tensor/kernels/cpu/gemm.inl and micro_kernels.inl. It is rung 6 and
//  - tiles of many sizes (AVX-512: from 1 x 8 to 14 x 2 vectors), so that rows and columns are cut evenly, and
//    borders by masked loads and stores: sizes that are no multiple of a tile cost little;
//  - no packing where it does not pay (few rows, small matrices), dot products where k is long and C is small;
//  - A in blocks that stay in the second cache while B's panels go by, and what comes next fetched ahead;
//  - transposed matrices, batches, C += and alpha, and a bias and an activation applied while C is in registers.
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {

//! [library]
void library(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  const auto view = [](const float* x, int64_t rows, int64_t columns) {
    return View{const_cast<float*>(x), 3, {1, rows, columns}, {rows * columns, columns, 1}};
  };
  kernels(Device::cpu, float32).matmul({.a = view(a, m, k), .b = view(b, k, n), .c = view(c, m, n)});
}
//! [library]

}  // namespace gradus::ladder
