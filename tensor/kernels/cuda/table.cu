// The table of the device "cuda". It starts from entries that throw, so that nothing is ever served by host code.
#include "tensor/error.h"
#include "tensor/kernels/backends.h"
#include "tensor/kernels/cuda/kernels.h"

namespace gradus::cuda {
namespace {

enum Kernel {
#define GRADUS_ENUM(name, arguments) kernel_##name,
  GRADUS_KERNELS(GRADUS_ENUM)
#undef GRADUS_ENUM
};
constexpr const char* kernel_names[] = {
#define GRADUS_NAME(name, arguments) #name,
    GRADUS_KERNELS(GRADUS_NAME)
#undef GRADUS_NAME
};

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
  switch (dtype) {
    case DType::float32: fill_missing<DType::float32>(table); break;
    case DType::float64: fill_missing<DType::float64>(table); break;
    case DType::int64: fill_missing<DType::int64>(table); break;
    case DType::boolean: fill_missing<DType::boolean>(table); break;
    case DType::uint8: fill_missing<DType::uint8>(table); break;
    case DType::bfloat16: fill_missing<DType::bfloat16>(table); break;
  }
  for (const auto fill : {fill_elementwise, fill_random, fill_reduce, fill_softmax, fill_norms, fill_indexing,
                          fill_matmul, fill_recurrent, fill_attention, fill_conv, fill_pool, fill_optimisers})
    fill(table, dtype);
}

}  // namespace gradus::cuda
