// The table of the device "cuda". It starts from entries that throw, so that nothing is ever served by host code.
#include <utility>

#include "tensor/error.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/cuda/kernels.h"
#include "tensor/kernels/names.h"

namespace gradus::cuda {
namespace {

template <Kernel kernel, DType dtype, class... Arguments>
void missing(Arguments...) {
  fail({kernel_names[kernel], ": not implemented for ", dtype, " on cuda"});
}

template <DType dtype>
void fill_missing(KernelTable& table) {
#define GRADUS_ENTRY(name, arguments) table.name = &missing<kernel_##name, dtype>;
  GRADUS_KERNELS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
}

}  // namespace

void fill_table(KernelTable& table, DType dtype) {
  [&]<size_t... t>(std::index_sequence<t...>) { ((DType(t) == dtype ? fill_missing<DType(t)>(table) : void()), ...); }
  (std::make_index_sequence<dtype_count>());
  for (const auto fill : {fill_elementwise, fill_random, fill_reduce, fill_softmax, fill_norms, fill_indexing,
                          fill_matmul, fill_recurrent, fill_attention, fill_conv, fill_pool, fill_optimisers})
    fill(table, dtype);
}

}  // namespace gradus::cuda
