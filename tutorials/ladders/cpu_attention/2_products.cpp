// Rung 2, products: two matrix products and a softmax, each by a kernel of the library.
//
// This is how attention is written where it is one formula among many. The products are those at the top of the ladder
// ../cpu_gemm, 4 n^2 d operations near the peak, on all threads; and the softmax takes its exponentials by vectors. So
// it is far faster than rung 1, and than the plain loops of rungs 3 to 6, too.
//
// What holds it back is the memory: scores and weights of all heads are 8 heads n^2 bytes, 32 MB for 4 heads of n =
// 1024 where q, k, v and the output are 4 MB. The scores are written, read by the softmax, its weights written and read
// again: 16 bytes, at 20 GB/s 0.8 ns, for the 4 d = 256 operations that an element stands for, which at 100 GFLOP/s
// take 2.6 ns. With more threads on the same memory, or with smaller d, the bytes win. And twice n wants four times the
// memory, until there is none. A causal mask saves nothing: hidden scores are computed, and then hidden.
#include <algorithm>
#include <limits>

#include "tensor/kernels/cpu/threads.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_attention/attention.h"

namespace gradus::attention_ladder {

//! [products]
void products(const Problem& x) {
  const int64_t heads = x.heads, n = x.n, d = x.d;
  const Floats scores(heads * n * n), weights(heads * n * n);
  const auto rows_of = [&](const float* p, int64_t width) {
    return View{const_cast<float*>(p), 3, {heads, n, width}, {n * width, width, 1}};
  };
  const View k_turned{const_cast<float*>(x.k), 3, {heads, d, n}, {n * d, 1, d}};
  const KernelTable& table = kernels(Device::cpu, float32);
  table.matmul({.a = rows_of(x.q, d), .b = k_turned, .c = rows_of(scores.data(), n), .alpha = x.scale});
  parallel_for(x.causal ? heads * n : 0, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = scores.data() + i * n;
      std::fill(row + x.seen(i % n), row + n, -std::numeric_limits<float>::infinity());
    }
  });
  table.softmax(scores.data(), weights.data(), heads * n, n);
  table.matmul({.a = rows_of(weights.data(), n), .b = rows_of(x.v, d), .c = rows_of(x.output, d)});
}
//! [products]

}  // namespace gradus::attention_ladder
