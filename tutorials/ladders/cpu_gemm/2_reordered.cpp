// Rung 2, reordered: the two inner loops change places.
//
// Now a row of B, times one number, is added to a row of C. Why this is faster:
//  - Neighbours in memory follow each other: all 64 bytes of a line are used, and the hardware fetches ahead.
//  - The sums of a row do not wait for each other, and the compiler may put several into one vector. Without
//    further flags that is 4 floats (SSE2 or NEON). SSE2 has no multiply-add; two units that either multiply or add
//    do 8 operations a cycle, 1/8 of what AVX-512 can do.
//
// What holds it back: for 2 operations it reads 4 bytes of B and 4 of C, and writes 4 of C. C's row stays in the
// first cache, but B passes by once for each row of C, m n k floats in all. At n = k = 1024 B takes 4 MB, more than
// the second cache; where the third brings 30 GB/s, that feeds 30 / 4 x 2 = 15 GFLOP/s, no more.
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {

//! [reordered]
void reordered(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) c[i * n + j] = 0;
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < n; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
    }
  }
}
//! [reordered]

}  // namespace gradus::ladder
