#include "tensor/kernels/backends.h"
namespace gradus::avx512 {
void fill_table(KernelTable&) {}
}  // namespace gradus::avx512
