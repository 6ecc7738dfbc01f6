// Rung 1, naive: the definition, element by element.
//
// m n k steps of one multiplication and one addition, 2 m n k operations in all. What holds it back:
//  - The sum: each addition waits for the one before, and takes 2 to 4 cycles. 2 operations in that time are 1/64 to
//    1/128 of what a core with two AVX-512 units can do, 64 a cycle. The compiler may not help: sums in another order
//    round differently.
//  - B is read down its columns: each step is on another cache line, of which it uses 4 bytes of 64. For n = 1024 a
//    column is 1024 lines, 64 KB, which no first cache of 32 or 48 KB keeps until the next column wants them. It is
//    worse: lines that are 4 KB apart all want the same few places of that cache. With n = 1000 they do not.
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {

//! [naive]
void naive(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
}
//! [naive]

}  // namespace gradus::ladder
