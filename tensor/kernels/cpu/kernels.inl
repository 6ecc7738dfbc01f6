// The float32 kernels of an instruction set, and those of bfloat16. Included inside its namespace, after its pack
// (vec_ISA.h) and what products need of it (gemm_ISA.inl): compiled with that file's flags, none of this may be
// mistaken by the linker for the copy of a backend that runs anywhere.

// Each builds on those before it.
// clang-format off
#include "tensor/kernels/normal.h"
#include "tensor/kernels/cpu/vecmath_tables.h"
#include "tensor/kernels/cpu/vecmath.h"
#include "tensor/kernels/elementwise.h"
#include "tensor/kernels/cpu/loops.inl"
#include "tensor/kernels/cpu/elementwise.inl"
#include "tensor/kernels/cpu/reduce.inl"
#include "tensor/kernels/cpu/softmax.inl"
#include "tensor/kernels/cpu/norms.inl"
#include "tensor/kernels/cpu/random.inl"
#include "tensor/kernels/cpu/indexing.inl"
#include "tensor/kernels/cpu/optimisers.inl"
#include "tensor/kernels/cpu/micro_kernels.inl"
#include "tensor/kernels/cpu/gemm.inl"
#include "tensor/kernels/cpu/gemm_small.inl"
#include "tensor/kernels/cpu/gemm_packed.inl"
#include "tensor/kernels/cpu/recurrent.inl"
#include "tensor/kernels/cpu/gemm_bfloat16.inl"
#include "tensor/kernels/cpu/attention.inl"
#include "tensor/kernels/cpu/conv_frame.inl"
#include "tensor/kernels/cpu/conv_channels.inl"
#include "tensor/kernels/cpu/conv_winograd.inl"
#include "tensor/kernels/cpu/conv.inl"
#include "tensor/kernels/cpu/conv_weight.inl"
#include "tensor/kernels/cpu/pool.inl"
// clang-format on

inline void fill_kernels(KernelTable& table, DType dtype) {
  if (dtype == DType::bfloat16) return fill_bfloat16(table);
  fill_elementwise(table);
  fill_reduce(table);
  fill_softmax(table);
  fill_norms(table);
  fill_random(table);
  fill_indexing(table);
  fill_optimisers(table);
  fill_products(table);
  fill_recurrent(table);
  fill_attention(table);
  fill_convolutions(table);
  fill_pools(table);
}
