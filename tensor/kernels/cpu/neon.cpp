// The float32 kernels for NEON, which every 64-bit ARM processor has.
#if defined(__aarch64__)

#include <arm_neon.h>
#include <math.h>

#include <utility>

#include "tensor/allocator.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/cpu/threads.h"

namespace gradus::neon {
namespace {

// clang-format off
#include "tensor/kernels/cpu/vec_neon.h"
#include "tensor/kernels/cpu/gemm_neon.inl"
#include "tensor/kernels/cpu/kernels.inl"
// clang-format on

}  // namespace

void fill_table(KernelTable& table, DType dtype) { fill_kernels(table, dtype); }

}  // namespace gradus::neon

#endif
