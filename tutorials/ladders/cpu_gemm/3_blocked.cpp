// Rung 3, blocked: the loops of rung 2, over one block of B after the other.
//
// 128 steps of k and 1024 columns are a block of B of 512 KB. It stays in a second cache of 1 or 2 MB while all
// rows of A go by; the piece of C's row, 4 KB, stays in the first. Memory or the third cache brings B once instead
// of m times: 4 bytes for 2 m operations. C goes by once for each block of k, 8 bytes for 2 x 128 operations, which
// is little.
//
// What holds it back: for 2 operations the second cache still brings 4 bytes of B, and the first reads and writes 8
// of C: two loads and a store for each multiplication and addition of vectors. And the 8 operations a cycle of rung
// 2 are near.
#include "tutorials/ladders/cpu_gemm/gemm.h"

namespace gradus::ladder {
namespace {

constexpr int64_t k_block = 128, n_block = 1024;
int64_t least(int64_t x, int64_t y) { return x < y ? x : y; }

}  // namespace

//! [blocked]
void blocked(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < m * n; ++i) c[i] = 0;
  for (int64_t first_p = 0; first_p < k; first_p += k_block) {
    for (int64_t first_j = 0; first_j < n; first_j += n_block) {  // block of B
      const int64_t end_p = least(k, first_p + k_block), end_j = least(n, first_j + n_block);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t p = first_p; p < end_p; ++p) {
          for (int64_t j = first_j; j < end_j; ++j) c[i * n + j] += a[i * k + p] * b[p * n + j];
        }
      }
    }
  }
}
//! [blocked]

}  // namespace gradus::ladder
