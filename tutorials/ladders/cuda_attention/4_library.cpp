// Rung 4, library: what Gradus attends with, tensor/kernels/cuda/attention_tensor_core.cu. It is rung 3 and
//  - both products on tensor cores: with mma.sync a warp multiplies 16 x 16 by 16 x 8 numbers in one instruction, 4096
//    operations for the 512 bytes of operands that 32 threads hold in registers;
//  - 32 queries for each warp, so that what is read of keys and values serves two of these instructions. The weights
//    never go through shared memory: where the first product leaves a sum is where the second wants its operand
//    (attention_fragments.h);
//  - tiles that arrive by cp.async while others are worked on: values during the first product, keys during the second;
//  - powers of two instead of exp, whose scale is one multiply-add with the subtraction of the largest score;
//  - only tiles on the diagonal are masked in a causal call, and blocks with many keys start first;
//  - heads that share keys and values, masks, a bias, dropout, any strides between rows, and log sum exp(score) of each
//    query, from which the gradient makes the weights anew, tile by tile (attention_tensor_core_grad.cu).
//
// What still holds it back: mma.sync is an instruction of one warp, and its operands come through registers. From the
// H100 on four warps together can multiply, by wgmma, whose operands tensor cores fetch from shared memory themselves;
// only so do they reach all of their speed.
#include "tensor/kernels/cuda/runtime.h"
#include "tensor/kernels/table.h"
#include "tutorials/ladders/cuda_attention/attention.h"

namespace gradus::cuda_attention_ladder {

//! [library]
void library(const Problem& x) {
  const auto view = [&](const BFloat16* p) {
    return View{const_cast<BFloat16*>(p), 4, {1, x.heads, x.n, x.d}, {x.heads * x.n * x.d, x.n * x.d, x.d, 1}};
  };
  const size_t bytes = size_t(x.heads * x.n) * sizeof(float);
  void* log_sum = cuda::allocate(bytes);
  kernels(Device::cuda, bfloat16)
      .attention({.q = view(x.q),
                  .k = view(x.k),
                  .v = view(x.v),
                  .output = view(x.output),
                  .log_sum = log_sum,
                  .causal = x.causal,
                  .scale = x.scale});
  cuda::deallocate(log_sum, bytes);
}
//! [library]

}  // namespace gradus::cuda_attention_ladder
