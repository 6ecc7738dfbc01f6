// Rung 7, library: what Gradus attends with, tensor/kernels/cpu/attention.inl. It is rung 6 and
//  - products by the library's tiles in vectors of the instruction set with multiply-adds (../cpu_gemm, rungs 5 and 7),
//    and exponentials by such vectors: 16 at a time with AVX-512;
//  - tiles of equal size, so that 65 queries are not 64 and 1; queries before a key are left out of its products, not
//    hidden afterwards; and where there are few queries, as in decoding, keys fill the lanes instead;
//  - heads that share keys and values, masks, a bias, dropout, any strides between rows;
//  - a gradient, for which it keeps log sum exp(score) of each query, 4 n bytes a head: with it the weights are made
//    anew, tile by tile, so there is no matrix (n, n) in training either (Dao 2023, "FlashAttention-2", section 3.1).
//
// What still holds it back: with a head of d = 64 an exponential comes with 256 operations only. Where a multiply-add
// of 16 takes half a cycle, they are 4 cycles; and some 20 instructions for 16 exponentials 10, so 0.6 for one.
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cpu_attention/attention.h"

namespace gradus::attention_ladder {

//! [library]
void library(const Problem& x) {
  const Floats log_sum(x.heads * x.n);
  const auto view = [&](const float* p) {
    return View{const_cast<float*>(p), 4, {1, x.heads, x.n, x.d}, {x.heads * x.n * x.d, x.n * x.d, x.d, 1}};
  };
  kernels(Device::cpu, float32)
      .attention({.q = view(x.q),
                  .k = view(x.k),
                  .v = view(x.v),
                  .output = view(x.output),
                  .log_sum = log_sum.data(),
                  .causal = x.causal,
                  .scale = x.scale});
}
//! [library]

}  // namespace gradus::attention_ladder
